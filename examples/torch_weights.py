"""torch_weights.py - weights of the published CDRL code [Zhu24] to a file for drl_model_load, and back.

    python3 examples/torch_weights.py CHECKPOINT.pth.tar MODEL.safetensors [--raw] [--im_sz N]
        [--n_interval T] [--n_updates K] [--ebm_act lrelu|swish] [--trust]
    python3 examples/torch_weights.py MODEL.safetensors CHECKPOINT.pth.tar

Needs PyTorch (Debian: apt-get install python3-torch, and run this with /usr/bin/python3).

To drl.h: the averaged weights, or with --raw those of the last step. The other options have the names of the
code's own settings, for what checkpoints do not hold: image size (for 8, 16, 32 and 64 it follows from where
attention is), levels (6), Langevin steps (15), activation (lrelu). Widths, blocks, classes and spectral norm
follow from the tensors. add_q, and other values of logsnr_min and logsnr_max than -5.1 and 9.8, have no
counterpart in drl.h, and leave no trace in a checkpoint.

To PyTorch: weights and averages are both those of the file, and optimizers as before the first step, so that
the code loads the checkpoint to sample or to train on.

A checkpoint is read as tensors and numbers only. If it holds more, --trust reads it all the same, and runs
whatever code it names. """
import argparse, json, math, os, pickle, re, stat, struct, sys, zipfile
from collections import Counter, OrderedDict

try:
    import torch
except ImportError:
    sys.exit("torch_weights.py: PyTorch is missing here: apt-get install python3-torch, and run this with "
             "/usr/bin/python3")

# Names of the published code. Each network: its name in drl.h's files, and the checkpoint's keys of its
# weights, of their average (a list in the order of the parameters), of its optimizer, and of the rates.
NETWORKS = (("energy", "pi_state_dict", "pi_ema_state_dict", "pi_optimizer", "pi_lr_scheduler"),
            ("initializer", "p_state_dict", "p_ema_state_dict", "p_optimizer", "p_lr_scheduler"))
WRAPPER = "module."                         # before every name, by DistributedDataParallel
BUFFERS = ("weight_u", "weight_v")          # of spectral norms: no parameters, and not averaged
ATTENTION = (8, 16)                         # sides of the feature maps that have it
SIDES = {(0, 1, 1): 32, (1, 1, 0): 16, (0, 0, 1): 64, (1, 0, 0): 8}     # of images, by who has it
STORAGES = {"FloatStorage": torch.float32, "HalfStorage": torch.float16, "BFloat16Storage": torch.bfloat16,
            "DoubleStorage": torch.float64, "LongStorage": torch.int64, "IntStorage": torch.int32,
            "ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8,
            "BoolStorage": torch.bool}
DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}

class Refused(Exception):
    """A list of sentences."""

def file_check(path):
    """Only regular files are read: a device may have no end."""
    try: mode = os.stat(path).st_mode
    except OSError as e: raise Refused(["%s: %s" % (path, e.strerror)])
    if not stat.S_ISREG(mode): raise Refused(["%s is no regular file" % path])

# -- the layout: (name, shape) of every tensor, in the order of the published modules --

def layer(name, *shape, spectral=False, bias=True):
    if not spectral: return [(name + ".weight", shape)] + [(name + ".bias", shape[:1])] * bias
    return [(name + ".bias", shape[:1]), (name + ".weight_orig", shape), (name + ".weight_u", shape[:1]),
            (name + ".weight_v", (math.prod(shape[1:]),))]

def energy_layout(s):
    c, wide, blocks, out = s["pi_dim"], 4 * s["pi_dim"], s["pi_n_blocks"], []
    def add(name, *shape): out.extend(layer(name, *shape, spectral=s["with_sn"]))
    add("temb_map1", wide, c)
    add("temb_map2", wide, wide)
    if s["n_class"]: add("y_map", wide, s["n_class"] + 1)
    add("module_list.0", c, s["c"], 3, 3)
    for i, mult in enumerate(s["ch_mult"]):
        for j in range(blocks):
            name, k = "module_list.%d" % (1 + i * (blocks + 1) + j), mult * s["pi_dim"]
            out.append((name + ".g", (1, k, 1, 1)))
            add(name + ".conv1", k, c, 3, 3)
            add(name + ".conv2", k, k, 3, 3)
            add(name + ".temb_map", k, wide)
            if k != c: add(name + ".short_cut", k, c, 3, 3)
            c = k
    return out + layer("temb_final", c, wide, bias=False)

def initializer_layout(s):
    k, wide, out = s["p_dim"], 4 * s["p_dim"], []
    def add(name, *shape): out.extend(layer(name, *shape))
    def block(name, c):
        add(name + ".norm1", c)
        add(name + ".norm2", k)
        add(name + ".conv1", k, c, 3, 3)
        add(name + ".conv2", k, k, 3, 3)
        add(name + ".mlp.1", 2 * k, wide)
        if c != k: add(name + ".res_conv", k, c, 1, 1)
    def attention(name):
        add(name + ".norm", k)
        add(name + ".to_qkv", 3 * k, k, 1, 1)
        add(name + ".to_out", k, k, 1, 1)
    def resolution(name, i, side, blocks, c):
        parts = [(block, c), (attention,)] if side in ATTENTION else [(block, c)]
        parts = parts * blocks + [(block, k)] * (i < 2)                 # the last one resamples
        for m, (part, *channels) in enumerate(parts): part("%s.%d.%d" % (name, i, m), *channels)
    add("init_conv", k, s["c"], 3, 3)
    add("time_mlp.1", wide, k)
    add("time_mlp.3", wide, wide)
    if s["n_class"]: add("y_mlp.0", wide, s["n_class"] + 1)
    for i in range(3): resolution("downs", i, s["im_sz"] >> i, s["num_res_blocks"], k)
    for i in range(3): resolution("ups", i, s["im_sz"] >> (2 - i), s["num_res_blocks"] + 1, 2 * k)
    block("mid_block1", k)
    attention("mid_attn")
    block("mid_block2", k)
    add("norm", k)
    add("final_conv", s["c"], k, 3, 3)
    return out

LAYOUTS = {"energy": energy_layout, "initializer": initializer_layout}

def compare(where, tensors, layout):
    """Sentences: what is missing, superfluous, or not as it should be."""
    layout = dict(layout)
    said = ["%s is missing; its shape is %s" % (k, list(v)) for k, v in layout.items() if k not in tensors]
    for name, t in tensors.items():
        if name not in layout: said.append(name + " does not belong to such a network")
        elif tuple(t.shape) != tuple(layout[name]):
            said.append("%s has the shape %s, not %s" % (name, list(t.shape), list(layout[name])))
        elif not t.is_floating_point() or t.layout != torch.strided:
            said.append("%s holds %s, not dense floats" % (name, t.dtype))
        elif not bool(torch.isfinite(t).all()): said.append(name + " holds numbers that are not finite")
    return ["%s: %s" % (where, sentence) for sentence in said]

# -- what a checkpoint says --

class Checkpoint(pickle.Unpickler):
    """What torch.save has written: a zip archive of the pickled containers and numbers, NAME/data.pkl, and of
    the tensors' memory, NAME/data/KEY. Refuses whatever else a pickle may name. (torch.load of PyTorch 1.13
    knows no numbers with weights_only, and ignores an unpickler that it is given.)"""
    def __init__(self, archive):
        pickles = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(pickles) != 1: raise ValueError("%d entries data.pkl" % len(pickles))
        if archive.getinfo(pickles[0]).compress_type: raise ValueError("a compressed pickle")
        super().__init__(archive.open(pickles[0]), encoding="utf-8")
        self.archive, self.root, self.memory = archive, pickles[0][:-len("data.pkl")], {}

    def find_class(self, module, name):
        if module == "torch" and name in STORAGES: return STORAGES[name]
        known = {"collections.OrderedDict": OrderedDict, "torch.Size": tuple,
                 "torch._utils._rebuild_tensor_v2": tensor_of,
                 "torch._utils._rebuild_parameter": lambda tensor, *_: tensor}
        if module + "." + name in known: return known[module + "." + name]
        raise ValueError("it names %s.%s, and --trust was not given" % (module, name))

    def persistent_load(self, saved):
        kind, dtype, key, _, count = saved
        if key not in self.memory:
            entry = self.archive.getinfo(self.root + "data/" + key)
            if entry.compress_type: raise ValueError("compressed data")
            data = bytearray(self.archive.read(entry))
            self.memory[key] = torch.frombuffer(data, dtype=dtype, count=count) if count else torch.empty(0)
        return self.memory[key]

def tensor_of(memory, offset, shape, stride, *_):
    last = offset + sum((n - 1) * step for n, step in zip(shape, stride))
    inside = len(shape) == len(stride) and min(offset, *stride, *shape, 0) >= 0 and last < len(memory)
    if 0 in shape: return torch.empty(shape, dtype=memory.dtype)
    if not inside: raise ValueError("a tensor lies outside of its memory")
    if math.prod(shape) > len(memory): raise ValueError("a tensor has more numbers than its memory")
    return memory.as_strided(shape, stride, offset)

def checkpoint_read(path, raw, trust):
    """{network: {name: tensor}}, in the checkpoint's order."""
    file_check(path)
    try:
        if trust: checkpoint = torch.load(path, map_location="cpu", weights_only=False)
        else:
            with zipfile.ZipFile(path) as archive: checkpoint = Checkpoint(archive).load()
    except PermissionError as e: raise Refused(["%s: %s" % (path, e.strerror)])
    except Exception as e:
        said = (str(e).strip() or type(e).__name__).splitlines()[0]
        raise Refused(["%s is no checkpoint of PyTorch with tensors and numbers only (%s)" % (path, said)])
    networks = {}
    for network, key, average, *_ in NETWORKS:
        def entry(name):
            there = checkpoint.get(name) if isinstance(checkpoint, dict) else None
            if isinstance(there, dict): return there
            raise Refused(["%s: there is no %s, which the published code saves" % (path, name)])
        tensors = entry(key)
        for name, t in tensors.items():
            if not isinstance(name, str) or not isinstance(t, torch.Tensor):
                raise Refused(["%s: %s is no tensor" % (key, name)])
        if all(name.startswith(WRAPPER) for name in tensors):
            tensors = {name[len(WRAPPER):]: t for name, t in tensors.items()}
        parameters = [name for name in tensors if not name.endswith(BUFFERS)]
        if not raw:
            averaged = entry(average).get("shadow_params")
            if not isinstance(averaged, list) or not all(isinstance(t, torch.Tensor) for t in averaged):
                raise Refused(["%s: shadow_params is no list of tensors" % average])
            if len(averaged) != len(parameters):
                raise Refused(["%s: there are %d averages of %d parameters" %
                               (average, len(averaged), len(parameters))])
            tensors = {**tensors, **dict(zip(parameters, averaged))}
        networks[network] = tensors
    return networks

def settings(networks, o):
    """The published code's settings: from the tensors as far as they say something, else from options."""
    (_, pi_key, *_), (_, p_key, *_) = NETWORKS
    pi, p, s = networks["energy"], networks["initializer"], {}
    def shape(where, tensors, name, rank, what):
        if name not in tensors: raise Refused(["%s: %s is missing, and with it %s" % (where, name, what)])
        sides = list(tensors[name].shape)
        if len(sides) == rank and 0 not in sides: return sides
        raise Refused(["%s: %s has the shape %s; %d axes are needed" % (where, name, sides, rank)])
    s["with_sn"] = any(name.endswith("weight_orig") for name in pi)
    weight = "weight_orig" if s["with_sn"] else "weight"
    s["pi_dim"], s["c"] = shape(pi_key, pi, "module_list.0." + weight, 4, "pi_dim")[:2]
    # Blocks and poolings are numbered together from 1. A pooling has no tensors: so many numbers in a row are
    # there as a resolution has blocks.
    block = re.compile(r"module_list\.([1-9]\d{0,4})\.(g$|conv1|conv2|temb_map|short_cut)")
    used = sorted({int(m[1]) for m in map(block.match, pi) if m})
    if not used: raise Refused(["%s: module_list.1.g is missing, and with it pi_n_blocks" % pi_key])
    runs = []
    for i in used:
        if i - 1 not in used: runs.append(0)
        runs[-1] += 1
    n = s["pi_n_blocks"] = Counter(runs).most_common(1)[0][0]
    resolutions = -(-used[-1] // (n + 1))
    if resolutions > 8:
        raise Refused(["%s: module_list.%d, with %d blocks a resolution, is of resolution %d; drl.h has 8" %
                       (pi_key, used[-1], n, resolutions)])
    s["ch_mult"] = []
    for i in range(resolutions):
        names = ["module_list.%d.%s" % (1 + i * (n + 1) + j, part) for j in range(n)
                 for part in ("g", "conv1.bias", "conv2.bias")]
        widths = Counter(pi[name].numel() for name in names if name in pi).most_common(1)
        s["ch_mult"].append(widths[0][0] // s["pi_dim"] if widths else 1)
    s["n_class"] = shape(pi_key, pi, "y_map." + weight, 2, "")[1] - 1 if "y_map." + weight in pi else 0
    s["p_dim"] = shape(p_key, p, "init_conv.weight", 4, "p_dim")[0]
    block = re.compile(r"downs\.2\.(\d+)\.(norm1|norm2|conv1|conv2|mlp)")
    s["num_res_blocks"] = len({m[1] for m in map(block.match, p) if m})
    attention = tuple(int(any("downs.%d.1.%s.weight" % (i, part) in p for part in ("to_qkv", "to_out")))
                      for i in range(3))
    s["im_sz"] = o.im_sz or SIDES.get(attention, 0)
    if not s["im_sz"]: raise Refused(["%s: the image size does not follow from it; give --im_sz" % p_key])
    s["n_interval"], s["n_updates"], s["ebm_act"] = o.n_interval or 6, o.n_updates or 15, o.ebm_act or "lrelu"
    return s

def described(s):
    """The settings as drl.h's files have them, "drl.model": fields of drl_model_desc."""
    mult = ",".join(map(str, (s["ch_mult"] + [0] * 8)[:8]))
    return " ".join("%s=%s" % field for field in (
        ("height", s["im_sz"]), ("width", s["im_sz"]), ("channels", s["c"]), ("base", s["pi_dim"]),
        ("blocks", s["pi_n_blocks"]), ("resolutions", len(s["ch_mult"])), ("mult", mult),
        ("levels", s["n_interval"]), ("steps", s["n_updates"]), ("b2", "0.0004"), ("noise_scale", 1),
        ("no_spectral", int(not s["with_sn"])), ("form", 1), ("initializer", s["p_dim"]),
        ("initializer_blocks", s["num_res_blocks"]), ("classes", s["n_class"]), ("schedule", 2),
        ("silu", int(s["ebm_act"] == "swish")), ("initializer_form", 1)))

# -- drl.h's files: length of the header (u64), header (JSON), data --

def file_write(path, text, tensors):
    header, at = {"__metadata__": {"drl.model": text}}, 0
    for name, t in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(t.shape), "data_offsets": [at, at + 4 * t.numel()]}
        at += 4 * t.numel()
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-(len(head) + 8) % 64)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(head)) + head)
        for t in tensors.values():
            f.write(t.detach().float().contiguous().numpy().astype("<f4").tobytes())

def file_read(path):
    """The settings, and {network: {name: tensor}}."""
    file_check(path)
    try:
        with open(path, "rb") as f: data = f.read()
    except OSError as e: raise Refused(["%s: %s" % (path, e.strerror)])
    networks = {network: {} for network, *_ in NETWORKS}
    try:
        size = struct.unpack("<Q", data[:8])[0]
        header = json.loads(data[8:8 + size])
        text = header.pop("__metadata__")["drl.model"]
        d = dict(field.split("=") for field in text.split())
        for name, t in header.items():
            network, name = name.split(".", 1)
            begin, end = (8 + size + at for at in t["data_offsets"])
            values = torch.frombuffer(bytearray(data[begin:end]), dtype=DTYPES[t["dtype"]])
            networks[network][name] = values.reshape(t["shape"]).float()
        mult = [int(m) for m in d["mult"].split(",")][:int(d["resolutions"])]
        s = {"im_sz": int(d["height"]), "c": int(d["channels"]), "pi_dim": int(d["base"]), "ch_mult": mult,
             "pi_n_blocks": int(d["blocks"]), "n_interval": int(d["levels"]), "n_updates": int(d["steps"]),
             "with_sn": not int(d["no_spectral"]), "p_dim": int(d.get("initializer", 32)),
             "num_res_blocks": int(d.get("initializer_blocks", 1)), "n_class": int(d.get("classes", 0)),
             "ebm_act": "swish" if int(d.get("silu", 0)) else "lrelu"}
        residual = int(d.get("initializer_form", 1 if s["n_interval"] < 12 else 2)) == 1
        said = [sentence for there, sentence in (
            (d.get("form") == "1", "the model is of plain DRL"),
            (s["p_dim"] > 0, "the model has no initializer"),
            (s["p_dim"] < 1 or s["p_dim"] % 32 == 0, "the initializer has %d channels; the published norms "
             "have 32 groups and need a multiple of 32" % s["p_dim"]),
            (max(s["pi_n_blocks"], s["num_res_blocks"]) <= 4096, "drl.h has up to 4096 blocks a resolution"),
            (d["width"] == d["height"] != "1", "images are %s x %s; the published code's are square" %
             (d["height"], d["width"])),
            (d.get("energy_form", "0") == "0", "the energy is no published network"),
            (d.get("schedule", "2") == "2", "the schedule is not the published one"),
            (residual, "the initializer predicts velocities; the published one does not"),
            (d.get("norm_channels", "1") == "1", "the norms do not have 32 groups")) if not there]
    except (LookupError, ValueError, TypeError, AttributeError, ArithmeticError, RuntimeError,
            struct.error) as e:
        raise Refused(["%s is no model file of drl.h (%s: %s)" % (path, type(e).__name__, e)])
    if said: raise Refused(["%s: %s" % (path, sentence) for sentence in said])
    if float(d["b2"]) != 4e-4: print("note: the model's steps have b2 = %s; the code's have 4e-4" % d["b2"])
    return s, networks

def checkpoint_write(path, networks):
    checkpoint = {}
    for network, key, average, optimizer, schedule in NETWORKS:
        tensors = networks[network]
        parameters = [t for name, t in tensors.items() if not name.endswith(BUFFERS)]
        checkpoint[key] = OrderedDict((WRAPPER + name, t) for name, t in tensors.items())
        checkpoint[average] = {"decay": 0.9999, "num_updates": 0, "shadow_params": parameters,
                               "collected_params": None}
        if network == "energy":
            o = torch.optim.Adam(parameters, lr=1e-4)
            warm = lambda i: min(1.0, i / 10000)
        else:
            o = torch.optim.AdamW(parameters, lr=1e-5, weight_decay=0)
            warm = lambda i: min(1.0, (i + 500) / 10000)
        checkpoint[schedule] = torch.optim.lr_scheduler.LambdaLR(o, warm).state_dict()
        checkpoint[optimizer] = o.state_dict()
    with open(path, "wb") as f: torch.save(checkpoint, f)

def number(low, high):
    def read(text):
        if re.fullmatch("[0-9]{1,9}", text) and low <= int(text) <= high: return int(text)
        raise argparse.ArgumentTypeError("%s; %d to %d are possible" % (text, low, high))
    return read

def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("source")
    a.add_argument("target")
    a.add_argument("--raw", action="store_true")
    a.add_argument("--trust", action="store_true")
    a.add_argument("--im_sz", type=number(4, 65536))
    a.add_argument("--n_interval", type=number(2, 500))
    a.add_argument("--n_updates", type=number(1, 65535))
    a.add_argument("--ebm_act", choices=("lrelu", "swish"))
    o = a.parse_args()
    back = o.source.endswith(".safetensors")
    if back == o.target.endswith(".safetensors"): a.error("one of the two is to be a .safetensors file")
    if back and (o.raw or o.trust or o.im_sz or o.n_interval or o.n_updates or o.ebm_act):
        a.error("options are for checkpoints; a .safetensors file says all that itself")
    try:
        if back: s, networks = file_read(o.source)
        else:
            networks = checkpoint_read(o.source, o.raw, o.trust)
            s = settings(networks, o)
        said = []
        for network, key, *_ in NETWORKS:
            layout = LAYOUTS[network](s)
            said += compare(network if back else key, networks[network], layout)
            networks[network] = {name: networks[network].get(name) for name, _ in layout}
        if said: raise Refused(said)
        if back: checkpoint_write(o.target, networks)
        else: file_write(o.target, described(s), {"%s.%s" % (network, name): t for network in networks
                                                  for name, t in networks[network].items()})
    except Refused as e: sys.exit("\n".join("torch_weights.py: " + sentence for sentence in e.args[0]))
    except OSError as e: sys.exit("torch_weights.py: %s: %s" % (o.target, e.strerror))
    print("%s: %s" % (o.target, ", ".join("%s = %s" % setting for setting in s.items())))

if __name__ == "__main__":
    main()
