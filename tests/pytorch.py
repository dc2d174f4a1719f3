"""pytorch.py - examples/torch_weights.py and examples/drl.py against PyTorch.

    python3 tests/pytorch.py [LIBRARY [FOLDER]]

LIBRARY is a shared build of drl.h (build/libdrl.so, see examples/drl.py), FOLDER where files go (build).
Needs python3-numpy and python3-torch, and says so where they are missing. The networks are written once more
here, in the modules of the published code (names and order, as checkpoints have them). Weights are random.

Tolerance. PyTorch computes in double here, from the same floats. In float32 a sum of n products has an error
of about sqrt(n) 2^-24 of its terms' size. The errors of layers are independent, so that their squares add up,
to 2^-24 sqrt(sum of n over the layers). A gradient passes every layer twice, and Winograd's algorithm makes
three times as much of the error. """
import os, sys
try:
    import numpy as np, torch
except ImportError as missing:
    print("pytorch: skipped, %s (apt-get install python3-numpy python3-torch)" % missing)
    sys.exit(0)
import contextlib, ctypes, gc, io, math, re, shutil, subprocess, textwrap, threading, zipfile
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import spectral_norm

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "examples"))
import drl, torch_weights

arguments = sys.argv[1:] + [os.path.join(HERE, "..", "build", "libdrl.so"), os.path.join(HERE, "..", "build")]
LIBRARY, FOLDER = arguments[0], arguments[2 if len(sys.argv) == 2 else 1]
if len(sys.argv) > 3 or any(a.startswith("-") for a in arguments): sys.exit("pytorch.py [LIBRARY [FOLDER]]")
if not os.path.isfile(LIBRARY): sys.exit("pytorch.py: no %s; examples/drl.py says how to build it" % LIBRARY)
if not os.path.isdir(FOLDER): sys.exit("pytorch.py: there is no folder %s" % FOLDER)
try: drl.Model(height=8, library=LIBRARY)
except (OSError, ValueError, AttributeError) as e: sys.exit("pytorch.py: %s: %s" % (LIBRARY, e))
torch.set_num_threads(1)
passed = failed = 0

def check(fine, what):
    global passed, failed
    if fine: passed += 1
    else: failed += 1
    if not fine: print("FAILED: " + what)

# -- the networks, SPEC section 3, in the published layout --

def rounded(f, x): return f(x.double()).float()         # to float, once

def embedding(logsnr, width):
    """[sin(v w_k), cos(v w_k)], every operation rounded to float32."""
    angle = rounded(torch.atan, rounded(torch.exp, -0.5 * logsnr.float().clamp(-20, 20)))
    half = width // 2
    frequency = torch.exp(torch.arange(half).float() * -(math.log(10000) / (half - 1)))
    turn = (1000 * (angle / (0.5 * math.pi)))[:, None] * frequency
    return torch.cat([rounded(torch.sin, turn), rounded(torch.cos, turn)], 1)

def classes_of(label, classes, like): return torch.eye(classes + 1, dtype=like.dtype)[label]

class Energy(nn.Module):
    class Block(nn.Module):
        def __init__(self, c, k, width, norm, act):
            super().__init__()
            self.act = act
            self.conv1 = norm(nn.Conv2d(c, k, 3, padding=1))
            self.conv2 = norm(nn.Conv2d(k, k, 3, padding=1))
            self.temb_map = norm(nn.Linear(4 * width, k))
            self.g = nn.Parameter(torch.ones(1, k, 1, 1))
            self.short_cut = norm(nn.Conv2d(c, k, 3, padding=1)) if c != k else nn.Identity()

        def forward(self, x, e):
            h = self.conv1(self.act(x)) + self.act(self.temb_map(e))[:, :, None, None]
            return self.conv2(self.act(h)) * self.g + self.short_cut(x)

    def __init__(self, c, pi_dim, pi_n_blocks, ch_mult, n_class=0, with_sn=True, ebm_act="lrelu"):
        super().__init__()
        norm = spectral_norm if with_sn else lambda m: m
        self.act = F.silu if ebm_act == "swish" else lambda x: F.leaky_relu(x, 0.2)
        self.head = F.silu if ebm_act == "swish" else F.relu
        self.width, self.classes = pi_dim, n_class
        self.temb_map1 = norm(nn.Linear(pi_dim, 4 * pi_dim))
        self.temb_map2 = norm(nn.Linear(4 * pi_dim, 4 * pi_dim))
        if n_class: self.y_map = norm(nn.Linear(n_class + 1, 4 * pi_dim))
        parts, k = [norm(nn.Conv2d(c, pi_dim, 3, padding=1))], pi_dim
        for i, mult in enumerate(ch_mult):
            if i: parts.append(nn.AvgPool2d(2))
            for _ in range(pi_n_blocks):
                parts.append(Energy.Block(k, pi_dim * mult, pi_dim, norm, self.act))
                k = pi_dim * mult
        self.module_list = nn.ModuleList(parts)
        self.temb_final = nn.Linear(4 * pi_dim, k, bias=False)

    def forward(self, x, logsnr, label):
        e = self.temb_map2(self.act(self.temb_map1(embedding(logsnr, self.width).to(x.dtype))))
        if self.classes: e = e + self.y_map(classes_of(label, self.classes, x))
        e = self.act(e)
        for part in self.module_list: x = part(x, e) if isinstance(part, Energy.Block) else part(x)
        return (self.head(x).sum((2, 3)) * self.temb_final(e)).sum(1)

class Initializer(nn.Module):
    class Block(nn.Module):
        def __init__(self, c, k, resample=None):
            super().__init__()
            self.norm1, self.norm2 = nn.GroupNorm(32, c, 1e-6), nn.GroupNorm(32, k, 1e-6)
            self.conv1, self.conv2 = nn.Conv2d(c, k, 3, padding=1), nn.Conv2d(k, k, 3, padding=1)
            self.mlp = nn.Sequential(nn.SiLU(), nn.Linear(4 * k, 2 * k))
            self.res_conv = nn.Conv2d(c, k, 1) if c != k else nn.Identity()
            self.resample = resample or nn.Identity()

        def forward(self, x, e):
            h = self.conv1(self.resample(F.silu(self.norm1(x))))
            scale, shift = self.mlp(e)[:, :, None, None].chunk(2, 1)
            h = self.conv2(F.silu(self.norm2(h) * (1 + scale) + shift))
            return h + self.res_conv(self.resample(x))

    class Attention(nn.Module):
        def __init__(self, k):
            super().__init__()
            self.norm = nn.GroupNorm(32, k, 1e-6)
            self.to_qkv, self.to_out = nn.Conv2d(k, 3 * k, 1), nn.Conv2d(k, k, 1)

        def forward(self, x, e):
            n, k, h, w = x.shape
            q, key, v = self.to_qkv(self.norm(x)).reshape(n, 3 * k, h * w).chunk(3, 1)
            weight = torch.softmax(q.transpose(1, 2) @ key / math.sqrt(k), 2)
            return x + self.to_out((v @ weight.transpose(1, 2)).reshape(n, k, h, w))

    def __init__(self, c, p_dim, num_res_blocks, im_sz, n_class=0):
        super().__init__()
        self.width, self.classes, self.blocks = p_dim, n_class, num_res_blocks
        def resolution(i, c, blocks, side, resample):
            parts = []
            for _ in range(blocks):
                parts.append(Initializer.Block(c, p_dim))
                if side in (8, 16): parts.append(Initializer.Attention(p_dim))
            return nn.ModuleList(parts + ([Initializer.Block(p_dim, p_dim, resample)] if i < 2 else []))
        self.init_conv = nn.Conv2d(c, p_dim, 3, padding=1)
        self.time_mlp = nn.Sequential(nn.Identity(), nn.Linear(p_dim, 4 * p_dim), nn.SiLU(),
                                      nn.Linear(4 * p_dim, 4 * p_dim))
        if n_class: self.y_mlp = nn.Sequential(nn.Linear(n_class + 1, 4 * p_dim))
        self.downs = nn.ModuleList([resolution(i, p_dim, num_res_blocks, im_sz >> i, nn.AvgPool2d(2))
                                    for i in range(3)])
        self.ups = nn.ModuleList([resolution(i, 2 * p_dim, num_res_blocks + 1, im_sz >> (2 - i),
                                             nn.Upsample(scale_factor=2)) for i in range(3)])
        self.mid_block1, self.mid_attn = Initializer.Block(p_dim, p_dim), Initializer.Attention(p_dim)
        self.mid_block2 = Initializer.Block(p_dim, p_dim)
        self.norm, self.final_conv = nn.GroupNorm(32, p_dim, 1e-6), nn.Conv2d(p_dim, c, 3, padding=1)

    def forward(self, x, logsnr, label):
        e = self.time_mlp(embedding(logsnr, self.width).to(x.dtype))
        if self.classes: e = e + self.y_mlp(classes_of(label, self.classes, x))
        h = self.init_conv(x)
        skip = [h]
        for parts in self.downs:
            for m, part in enumerate(parts):
                h = part(h, e)
                # behind each block, or the attention that belongs to it
                if m + 1 == len(parts) or isinstance(parts[m + 1], Initializer.Block): skip.append(h)
        for part in (self.mid_block1, self.mid_attn, self.mid_block2): h = part(h, e)
        for parts in self.ups:
            for part in parts:
                joins = isinstance(part, Initializer.Block) and part.norm1.num_channels == 2 * self.width
                h = part(torch.cat([h, skip.pop()], 1) if joins else h, e)
        return x + self.final_conv(F.silu(self.norm(h)))

# -- checkpoints as the published code saves them --

class Wrapped(nn.Module):
    """What DistributedDataParallel does to names."""
    def __init__(self, module):
        super().__init__()
        self.module = module

def randomise(net):
    with torch.no_grad():
        for name, p in net.named_parameters():
            n = torch.randn(p.shape)
            if name.endswith(".g") or "norm" in name and name.endswith("weight"): p.copy_(1 + 0.1 * n)
            else: p.copy_(0.1 * n if p.dim() == 1 else n / math.sqrt(p[0].numel()))

def networks(c, im_sz, n_class, pi_dim, pi_n_blocks, ch_mult, with_sn, ebm_act, p_dim, num_res_blocks):
    return (Energy(c, pi_dim, pi_n_blocks, ch_mult, n_class, with_sn, ebm_act).eval(),
            Initializer(c, p_dim, num_res_blocks, im_sz, n_class).eval())

def settings(c, im_sz, **other):
    return {**dict(c=c, im_sz=im_sz, n_class=0, pi_dim=8, pi_n_blocks=1, ch_mult=(1, 2, 2, 2), with_sn=True,
                   ebm_act="lrelu", p_dim=32, num_res_blocks=1), **other}

def published(s):
    """Both networks, with random weights."""
    pi, p = networks(**s)
    randomise(pi)
    randomise(p)
    for _ in range(3):                      # power iterations
        x = torch.randn(1, s["c"], s["im_sz"], s["im_sz"])
        pi.train()(x, torch.zeros(1), torch.zeros(1, dtype=torch.long))
    return pi.eval(), p

def checkpoint_of(pi, p):
    """And averages that differ from the weights: {key: value}."""
    c = {}
    for net, key, rate in ((Wrapped(pi), "pi", 1e-4), (Wrapped(p), "p", 1e-5)):
        shadow = [t.detach() * (1 + 0.1 * torch.randn(t.shape)) for t in net.parameters()]
        c[key + "_state_dict"] = net.state_dict()
        c[key + "_ema_state_dict"] = {"decay": 0.9999, "num_updates": 7, "shadow_params": shadow,
                                      "collected_params": None}
        optimizer = torch.optim.Adam(net.parameters(), rate)
        c[key + "_optimizer"] = optimizer.state_dict()
        c[key + "_lr_scheduler"] = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda i: 1.0).state_dict()
    return c

def averaged(net, shadow):
    """The network with its averages, as the published code samples it: u and v are those of the weights."""
    with torch.no_grad():
        for parameter, average in zip(net.parameters(), shadow): parameter.copy_(average)
    return net

def place(name): return os.path.join(FOLDER, "pytorch-" + name)

def convert(*arguments):
    """torch_weights.py with these arguments: the sentences of a refusal, else None."""
    sys.argv, said = ["torch_weights.py", *arguments], io.StringIO()
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said): torch_weights.main()
    except SystemExit as e: return (e.code if isinstance(e.code, str) else said.getvalue()).splitlines()
    return None

# -- does drl.h compute what PyTorch does --

T, B2 = 6, 4e-4

def schedule():
    """log-SNR [T + 1], float32, and step_t^2 [T] of SPEC section 4."""
    low = torch.atan(torch.exp(torch.tensor(-4.9).double())).float()
    span = torch.atan(torch.exp(torch.tensor(2.55).double())).float() - low
    l = -2 * rounded(torch.log, rounded(torch.tan, span * (torch.arange(T + 1).double() / T).float() + low))
    abar2, sbar = torch.sigmoid(l.double()), torch.sigmoid(-l.double()).sqrt()
    return l, sbar[:-1] / sbar[0] * B2 * (1 - abar2[1:] / abar2[:-1])

def sums(net):
    """sqrt(n), where n is the length of a layer's sums, over all layers."""
    return math.sqrt(sum(w[0].numel() for w in net.parameters() if w.dim() > 1))

def apart(a, b): return float(np.linalg.norm(a - b) / np.linalg.norm(b))

worst = {}
def near(what, error, tolerance):
    worst[what] = max(worst.get(what, 0), error / tolerance)
    check(error <= tolerance, "%s: relative error %.2e, tolerance %.2e" % (what, error, tolerance))

def agree(name, pi, p, path, generator):
    model = drl.Model(path, library=LIBRARY)
    side, _, c = model.shape
    level = torch.arange(T)
    x = torch.randn((T, c, side, side), generator=generator)
    label = torch.randint(0, pi.classes + 1, (T,), generator=generator)
    ours = x.permute(0, 2, 3, 1).numpy(), level.numpy(), label.numpy()
    logsnr, step2 = schedule()
    pi, p, y = pi.double(), p.double(), x.double().requires_grad_()
    f = pi(y, logsnr[level], label)
    gradient = torch.autograd.grad(f.sum(), y)[0]
    with torch.no_grad(): g = p(x.double(), logsnr[level + 1], label).permute(0, 2, 3, 1).numpy()
    energy, slope = model.energy(*ours)
    scale = step2.numpy()
    unit = 3 * 2.0 ** -24
    near(name + " f", apart(energy * scale, f.detach().numpy()), unit * sums(pi))
    near(name + " df/dy", apart(slope * scale[:, None, None, None], gradient.permute(0, 2, 3, 1).numpy()),
         2 * unit * sums(pi))
    near(name + " g", apart(model.propose(*ours), g), unit * sums(p))
    pi.float()
    p.float()

def same(a, b): return a.keys() == b.keys() and all(torch.equal(a[k].float(), b[k].float()) for k in a)

def contents(path):
    with open(path, "rb") as f: return f.read()

def loaded(path, s):
    """The checkpoint in the published networks, as that code loads it."""
    c = torch.load(path)
    pi, p = networks(**s)
    for net, key in ((pi, "pi"), (p, "p")):
        wrapped = Wrapped(net)
        wrapped.load_state_dict(c[key + "_state_dict"])
        shadow, parameters = c[key + "_ema_state_dict"]["shadow_params"], [*wrapped.parameters()]
        fine = len(shadow) == len(parameters) and all(map(torch.equal, shadow, parameters))
        check(fine, path + ": averages")
        optimizer = torch.optim.Adam(parameters, 1e-4)
        torch.optim.lr_scheduler.LambdaLR(optimizer, lambda i: 1.0).load_state_dict(c[key + "_lr_scheduler"])
        optimizer.load_state_dict(c[key + "_optimizer"])
    return pi, p

def round_trip(name, s, *options):
    pi, p = published(s)
    c = checkpoint_of(pi, p)
    torch.save(c, place("code.pth.tar"))
    generator = torch.Generator().manual_seed(1)
    for which in ("raw", "averaged"):
        if which == "averaged":
            averaged(pi, c["pi_ema_state_dict"]["shadow_params"])
            averaged(p, c["p_ema_state_dict"]["shadow_params"])
        raw = ["--raw"] if which == "raw" else []
        said = convert(place("code.pth.tar"), place("model.safetensors"), *options, *raw)
        check(said is None, "%s %s: %s" % (name, which, said))
        if said: return
        agree(name, pi, p, place("model.safetensors"), generator)
        check(convert(place("model.safetensors"), place("back.pth.tar")) is None, name + ": back")
        for net, again in zip((pi, p), loaded(place("back.pth.tar"), s)):
            check(same(net.state_dict(), again.state_dict()), "%s %s: weights" % (name, which))
        for raw in ([], ["--raw"]):
            said = convert(place("back.pth.tar"), place("again.safetensors"), *options, *raw)
            fine = contents(place("again.safetensors")) == contents(place("model.safetensors"))
            check(said is None and fine, "%s: file, checkpoint, file: %s" % (name, said or "other bytes"))

def ours_to_torch():
    """A model that the library made and saved, in PyTorch, and back."""
    s = settings(3, 16, n_class=2, p_dim=64, ch_mult=(1, 2, 2))
    drl.Model(library=LIBRARY, height=16, channels=3, base=8, form=1, initializer=64, classes=2, seed=7,
              resolutions=3).save(place("ours.safetensors"))
    check(convert(place("ours.safetensors"), place("ours.pth.tar")) is None, "ours to PyTorch")
    pi, p = loaded(place("ours.pth.tar"), s)
    agree("ours", pi, p, place("ours.safetensors"), torch.Generator().manual_seed(2))
    check(convert(place("ours.pth.tar"), place("back.safetensors")) is None, "ours, and back")
    before, after = (torch_weights.file_read(place(f))[1] for f in ("ours.safetensors", "back.safetensors"))
    for network in before: check(same(before[network], after[network]), "ours, PyTorch, ours: " + network)

# -- what is refused, with a sentence for each mistake --

def refusals():
    whole = checkpoint_of(*published(settings(1, 16, n_class=2, pi_n_blocks=2)))
    code, model = place("code.pth.tar"), place("refused.safetensors")
    pi, p, zeros = "pi_state_dict", "p_state_dict", torch.zeros
    def refused(edits, *wanted, options=("--raw",)):
        """edits: (key, name of a tensor, what it becomes, None: removed). Without a name it is the key."""
        c = {key: dict(value) for key, value in whole.items()}
        for key, name, value in edits:
            into, at = (c[key], "module." + name) if name else (c, key)
            if value is None: del into[at]
            else: into[at] = value
        torch.save(c, code)
        said = convert(code, model, *options) or []
        fine = len(said) == len(wanted) and all(any(w in line for line in said) for w in wanted)
        check(fine and not os.path.exists(model), "refused %s: %s" % (edits, said))
    refused([(pi, "module_list.5.conv2.bias", None)],
            "pi_state_dict: module_list.5.conv2.bias is missing; its shape is [16]")
    refused([(pi, "module_list.1.g", None), (p, "ups.2.1.norm.bias", None)],
            "pi_state_dict: module_list.1.g is missing; its shape is [1, 8, 1, 1]",
            "p_state_dict: ups.2.1.norm.bias is missing; its shape is [32]")
    parts = "bias", "weight_orig", "weight_u", "weight_v"
    refused([(pi, "module_list.4.conv1." + part, None) for part in parts],
            *["pi_state_dict: module_list.4.conv1.%s is missing" % part for part in parts])
    refused([(p, "extra.bias", zeros(3))], "p_state_dict: extra.bias does not belong to such a network")
    refused([(pi, "module_list.3.conv1.bias", zeros(8))],
            "pi_state_dict: module_list.3.conv1.bias does not belong to such a network")
    bias = "module_list.1.conv1.bias"
    refused([(pi, bias, zeros(9))], "pi_state_dict: %s has the shape [9], not [8]" % bias)
    refused([(pi, bias, zeros(8) / 0)], "pi_state_dict: %s holds numbers that are not finite" % bias)
    refused([(pi, bias, zeros(8).int())], "pi_state_dict: %s holds torch.int32, not dense floats" % bias)
    refused([(pi, bias, 3)], "pi_state_dict: module.%s is no tensor" % bias)
    stem = "module_list.0.weight_orig"
    refused([(pi, stem, None)], "pi_state_dict: %s is missing, and with it pi_dim" % stem)
    for shape in ((), (8, 1), (0, 1, 3, 3)):
        refused([(pi, stem, zeros(shape))], "pi_state_dict: %s has the shape %s; 4 axes" % (stem, [*shape]))
    refused([(pi, "", {"module." + stem: zeros(8, 1, 3, 3)})], "module_list.1.g is missing, and with it")
    refused([(pi, "module_list.99999.g", zeros(8))], "is of resolution 33333; drl.h has 8")
    refused([(pi, stem, zeros(1).expand(8, 1, 3, 3))], "a tensor has more numbers than its memory")
    refused([(p, "", None)], "there is no p_state_dict, which the published code saves")
    refused([(p, "", [1])], "there is no p_state_dict, which the published code saves")
    refused([("p_ema_state_dict", "", None)], "there is no p_ema_state_dict", options=())
    refused([("p_ema_state_dict", "", {"shadow_params": [zeros(3)]})],
            "p_ema_state_dict: there are 1 averages of ", options=())
    refused([("p_ema_state_dict", "", {"shadow_params": 5})],
            "p_ema_state_dict: shadow_params is no list of tensors", options=())
    refused([(pi, "", {"module.x": os.system})], "it names posix.system, and --trust was not given")
    torch.save({**whole, "hook": os.system}, code)
    check("it names posix.system, and --trust was not given" in str(convert(code, model)), "code in a pickle")
    check(convert(code, model, "--trust") is None and os.path.exists(model), "--trust")
    torch.save(checkpoint_of(*published(settings(1, 4, ch_mult=(1,)))), code)       # without attention
    check("size does not follow from it; give --im_sz" in str(convert(code, model)), "no image size")
    check(convert(code, model, "--im_sz", "4") is None, "--im_sz")
    os.remove(model)
    for data in (b"", b"PK\3\4", b"x" * 1000, contents(code)[:5000]):
        with open(code, "wb") as f: f.write(data)
        said = convert(code, model)
        fine = said and len(said) == 1 and "is no checkpoint of PyTorch" in said[0]
        check(fine, "no checkpoint: %s" % said)
    with zipfile.ZipFile(code, "w", zipfile.ZIP_DEFLATED) as f: f.writestr("code/data.pkl", bytes(1000))
    check("(a compressed pickle)" in str(convert(code, model)), "a compressed pickle")
    check("No such file" in str(convert(place("none.pth.tar"), model)), "a missing file")
    check("is no regular file" in str(convert(FOLDER, model)), "a folder")

def refusals_back():
    """Files of drl.h that the published code has no network for, and files of nobody."""
    target, source = place("refused.pth.tar"), place("ours.safetensors")
    os.makedirs(place("folder.safetensors"), exist_ok=True)
    whole = contents(source)
    def refused(data, wanted):
        with open(place("odd.safetensors"), "wb") as f: f.write(data)
        said = convert(place("odd.safetensors"), target)
        check(said and len(said) == 1 and wanted in said[0] and not os.path.exists(target),
              "refused, back, %s: %s" % (wanted, said))
    def edited(a, b):
        check(whole.count(a) == 1 and len(a) == len(b), "an edit")
        return whole.replace(a, b)
    refused(edited(b"form=1", b"form=0"), "the model is of plain DRL")
    refused(edited(b"width=16", b"width=32"), "images are 16 x 32; the published code's are square")
    refused(edited(b"initializer=64", b"initializer=16"), "the published norms have 32 groups")
    refused(edited(b"initializer=64", b"initializer=-1"), "the model has no initializer")
    refused(edited(b"blocks=1 resolutions=3 mult=1,2,2,0,0,0,0,0",
                   b"blocks=900000000 resolutions=3  mult=1,2,2 "),
            "drl.h has up to 4096 blocks a resolution")
    start = 8 + int.from_bytes(whole[:8], "little")
    longer = whole[8:start].replace(b"initializer=64", b"initializer=64 norm_channels=4")
    refused(len(longer).to_bytes(8, "little") + longer + whole[start:], "the norms do not have 32 groups")
    for data in (b"", whole[:7], whole[:100], whole[:-1], b"x" * 99, edited(b"drl.model", b"drl.Model"),
                 edited(b"base=8", b"base=x"), b"\2" + bytes(7) + b"[]"):
        refused(data, "is no model file of drl.h")
    check("No such file" in str(convert(source, place("no-folder/a.pth.tar"))), "no folder for the target")
    check("no regular file" in str(convert(place("folder.safetensors"), target)), "a folder, back")
    check("options are for checkpoints" in str(convert(source, target, "--raw")), "options, back")
    check("one of the two" in str(convert(target, target)), "two checkpoints")
    check("0; 2 to 500 are possible" in str(convert(target, source, "--n_interval", "0")), "a range")
    check("x; 4 to 65536 are possible" in str(convert(target, source, "--im_sz", "x")), "a word for a number")

# -- drl.py --

def layouts():
    """The structs that drl.py makes, and those inside of them, have the layouts of a C compiler."""
    lines = []
    for name in ("ctx_desc", "energy", "dataset", "model_desc", "sample_desc", "train_desc", "run_desc",
                 "level_report", "train_report"): drl.type_of("drl_" + name)
    structs = [t for t in drl.TYPES.values() if issubclass(t, ctypes.Structure)]
    for t in structs:
        name = t.__name__
        lines.append('printf("%s %%zu\\n", sizeof(%s));' % (name, name))
        for field, _ in t._fields_:
            lines.append('printf("%s.%s %%zu %%zu\\n", offsetof(%s, %s), sizeof((%s *)0)->%s);' %
                         (name, field, name, field, name, field))
    with open(place("layout.c"), "w") as f:
        f.write("#include <stdio.h>\n#include \"drl.h\"\nint main(void)\n{\n%s\n}\n" % "\n".join(lines))
    program = os.path.abspath(place("layout"))
    cc = os.environ.get("CC", "cc")
    subprocess.run([cc, "-I" + os.path.join(HERE, ".."), place("layout.c"), "-o", program], check=True)
    said = subprocess.run([program], stdout=subprocess.PIPE, check=True).stdout.decode().split("\n")
    ours = []
    for t in structs:
        ours.append("%s %d" % (t.__name__, ctypes.sizeof(t)))
        ours += ["%s.%s %d %d" % (t.__name__, name, getattr(t, name).offset, getattr(t, name).size)
                 for name, _ in t._fields_]
    check(len(structs) == 12, "%d structs" % len(structs))         # allocator, jobs and noise are inside
    for python, c in zip(ours + [""], said): check(python == c, "layout: '%s', in C '%s'" % (python, c))

def raises(kind, wanted, f, *arguments, **named):
    try: f(*arguments, **named)
    except kind as e: return check(wanted in str(e), "'%s' is not in '%s'" % (wanted, e))
    check(False, "nothing was raised: " + wanted)

def classes_and_memory():
    model = drl.Model(os.path.join(HERE, "..", "examples", "models", "sprites.safetensors"), batch=3,
                      library=LIBRARY)
    four = model.sample(count=4, seed=5, labels=[1, 2, 3, 4], steps=2)
    check(four.shape == (4, 16, 16, 4) and np.isfinite(four).all(), "samples")
    last = model.sample(count=1, seed=5, first=3, labels=4, steps=2)
    check((last[0] == four[3]).all(), "an image alone has the bits it has among others")
    mask = np.zeros(four.shape, np.uint8)
    mask[:, :8] = 1
    held = model.sample(count=4, labels=1, known=four, mask=mask, steps=1)
    check(np.abs(held - four)[:, :8].mean() < np.abs(held - four)[:, 8:].mean() / 2, "known pixels are held")
    drawn = [model.sample(known=four[:1], mask=mask[:1], steps=1, resample_from=levels)
             for levels in ((), [], 2, [2], [2, 1], np.array([2, 1]))]
    check((drawn[0] == drawn[1]).all() and (drawn[2] == drawn[3]).all() and (drawn[4] == drawn[5]).all(),
          "levels of further passes: one number, a list, an array")
    check((drawn[0] != drawn[2]).any() and (drawn[2] != drawn[4]).any(), "each pass draws again")
    raises(drl.Error, "resample_from[1] is 7; 1 to 6 are possible", model.sample, resample_from=[1, 7])
    raises(ValueError, "small whole numbers", model.sample, resample_from=[1, 2.5])
    F, gradient = model.energy(four, level=[0, 1, 2, 5], labels=[0, 1, 2, 3])       # two batches
    one, slope = model.energy(four[3:], level=5, labels=3)
    check(one[0] == F[3] and (slope[0] == gradient[3]).all(), "batches change nothing")
    check(model.energy(four.astype(float).transpose(0, 2, 1, 3), 1)[0].shape == (4,), "any type, any strides")
    raises(drl.Error, "label 99 of image 0; 0 to 10 are possible", model.sample, labels=99)
    raises(drl.Error, "energy: level 6 of 6", model.energy, four, 6)
    raises(drl.Error, "made without `trainable`", model.train, four, steps=1)
    raises(drl.Error, "cannot read", drl.Model, "no such file", library=LIBRARY)
    raises(drl.Error, "17 x 17 cannot be halved", drl.Model, height=17, library=LIBRARY)
    raises(drl.Error, "bad argument", drl.Model, threads=65, library=LIBRARY)
    shutil.copy(LIBRARY, place("old.so"))
    os.utime(place("old.so"), (0, 0))
    raises(ValueError, "is older than drl.h", drl.Model, library=place("old.so"))
    raises(TypeError, "the file itself says height", drl.Model, "a file", height=16)
    raises(TypeError, "no field nonsense", model.sample, nonsense=1)
    raises(ValueError, "seed is -1", model.sample, seed=-1)
    raises(ValueError, "images are (n, 16, 16, 4)", model.sample, count=0)
    raises(ValueError, "images are (n, 16, 16, 4), not (1, 16, 16, 3)", model.energy, four[:1, ..., :3])
    raises(ValueError, "images are (4, 16, 16, 4)", model.sample, count=4, start=four[:1])
    raises(ValueError, "small whole numbers", model.energy, four, 0.5)
    raises(ValueError, "small whole numbers", model.energy, four, 2 ** 32)
    # models come and go, also those that fail, and leave nothing behind; arrays outlive them
    def rss():
        with open("/proc/self/statm") as f: return int(f.read().split()[1]) * 4096
    path = place("ours.safetensors")
    size, kept = os.path.getsize(path), []
    for i in range(60):
        if i == 10: before = rss()
        kept = [drl.Model(path, library=LIBRARY).sample(count=2, steps=1)]
        with contextlib.suppress(drl.Error): drl.Model(path, batch=-1, library=LIBRARY)
    gc.collect()
    check(rss() - before < 20 * size, "50 models of %d bytes leave %d" % (size, rss() - before))
    check(np.isfinite(kept[0]).all(), "arrays outlive their model")
    # threads take turns
    wanted, got = model.energy(four, 1)[0], []
    threads = [threading.Thread(target=lambda: got.append(model.energy(four, 1)[0])) for _ in range(4)]
    for t in threads: t.start()
    for t in threads: t.join()
    check(len(got) == 4 and all((g == wanted).all() for g in got), "threads")

def training():
    rng = np.random.default_rng(1)
    data = np.where(rng.random((40, 1, 1, 1)) < 0.5, -0.8, 0.8) + 0.05 * rng.standard_normal((40, 8, 8, 1))
    def fresh():
        return drl.Model(library=LIBRARY, height=8, channels=1, base=8, resolutions=2, form=1, initializer=8,
                         classes=2, steps=2, trainable=1, batch=8)
    labels, steps = np.where(data.mean((1, 2, 3)) < 0, 1, 2), []
    def look(report):
        steps.append(report["step"])
        if report["step"] == 3: steps.append(model.sample(count=2, labels=1, steps=1).shape)
    model = fresh()
    report = model.train(np.clip(data, -1, 1), labels, steps=5, batch=4, seed=3, on_step=look)
    check(steps == [1, 2, 3, (2, 8, 8, 1), 4, 5], "on_step: %s" % steps)
    check(report["step"] == report["total"] == 5 and report["diverged"] is None, "the last report")
    check(sum(level["images"] for level in report["level"]) == 20, "levels of the report")
    again = fresh()
    check(again.train(np.clip(data, -1, 1), labels, steps=5, batch=4, seed=3) == report, "the same run again")
    check((again.energy(data, 1)[0] == model.energy(data, 1)[0]).all(), "the same weights again")
    check((fresh().energy(data, 1)[0] != model.energy(data, 1)[0]).all(), "training changes weights")
    check(model.train(data.clip(-1, 1), steps=5, on_step=lambda r: r["step"] == 2)["step"] == 2, "stopped")
    def fails(report): raise KeyError("mine")
    raises(KeyError, "mine", model.train, data.clip(-1, 1), on_step=fails)
    raises(drl.Error, "label 3 of image", model.train, data.clip(-1, 1), labels=3, steps=1)
    raises(drl.Error, "not finite", model.train, data * np.nan, steps=1)
    raises(drl.Error, "`balanced` needs", model.train, data.clip(-1, 1), steps=1, balanced=1)
    raises(ValueError, "small whole numbers", model.train, data.clip(-1, 1), labels=300, steps=1)
    model.save(place("trained.safetensors"))
    loaded = drl.Model(place("trained.safetensors"), library=LIBRARY)
    check((loaded.energy(data, 1)[0] == model.energy(data, 1)[0]).all(), "saved and loaded")

def page():
    """The program of examples/PYTHON.md prints what the page says."""
    with open(os.path.join(HERE, "..", "examples", "PYTHON.md"), encoding="utf-8") as f: text = f.read()
    code = textwrap.dedent(re.search(r'python3 -c "\n(.*?)"\n', text, re.S)[1])
    code = code.replace("drl.Model('", "drl.Model(library=LIBRARY, path='" + os.path.join(HERE, "..", ""))
    said = re.search(r"The last line is `(.*?)`", text, re.S)[1].split()
    out = io.StringIO()
    with contextlib.redirect_stdout(out): exec(code, {"LIBRARY": LIBRARY})
    check(out.getvalue().split() == said, "PYTHON.md prints %s, and says %s" % (out.getvalue(), said))

torch.manual_seed(24)
np.seterr(all="raise", under="ignore")
round_trip("plain", settings(1, 16, pi_n_blocks=2, num_res_blocks=2))
round_trip("classes", settings(3, 32, n_class=5, ch_mult=(1, 2)))
smooth = settings(4, 8, with_sn=False, ebm_act="swish", ch_mult=(1, 3))
round_trip("no norm, swish", smooth, "--ebm_act", "swish")
ours_to_torch()
refusals()
refusals_back()
classes_and_memory()
training()
layouts()
page()
print("errors over tolerances: " + ", ".join("%s %.3f" % (k, v) for k, v in worst.items()))
print("pytorch: %d passed, %d failed" % (passed, failed))
sys.exit(failed > 0)
