"""peers.py - the two networks of drl.h once more, in PyTorch: to be timed beside ours, and to check
files both ways.

    python3 bench/peers.py [--rounds N] [--threads 1,2] [--isa NAME] [--layouts NCHW,channels_last] [NAME...]
        times, interleaved with build/bench (make build/bench)
    python3 bench/peers.py --check FILE...
        do these networks agree with recorded reference files
    python3 bench/peers.py --write FILE [--size official] [--classes N] [--steps K] [--seed N]
        a reference file of random weights for tests/parity

Debian: apt-get install python3-torch libopenblas0-openmp (without the second, PyTorch multiplies matrices
with the reference BLAS, which is slower). Nothing else is needed: files are read and written here. NAME is a
line of build/bench, or the start of one: langevin-small, train. --check and --write compute in double, level
embeddings, the log-SNR and the chains of --write apart; with --float all is float32.

The networks are plain functions of a dict of tensors, whose names are those of the files. As in the published
code, level values and the log-SNR schedule are rounded to float32 at every operation, and the frequencies of
embeddings are PyTorch's float32 exponentials. """
import argparse, ctypes, json, math, os, random, re, resource, struct, subprocess, sys, time
from statistics import median

try:
    import torch
    import torch.nn.functional as F
except ImportError:
    sys.exit("peers.py: PyTorch is missing here: apt-get install python3-torch libopenblas0-openmp, "
             "and run it with /usr/bin/python3")

# -- safetensors: length of the header (u64), header (JSON), data --

DTYPES = {"F32": (torch.float32, 4), "I32": (torch.int32, 4)}

def file_read(path):
    with open(path, "rb") as f:
        header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
        data = f.read()
    tensors = {}
    for name, t in header.items():
        if name != "__metadata__":
            dtype, size = DTYPES[t["dtype"]]
            begin, end = t["data_offsets"]
            tensors[name] = torch.frombuffer(bytearray(data[begin:end]), dtype=dtype).reshape(t["shape"])
    return header.get("__metadata__", {}), tensors

def file_write(path, meta, tensors):
    header, at = {"__metadata__": {k: str(v) for k, v in meta.items()}}, 0
    tensors = {k: v.detach().to(torch.int32 if v.dtype == torch.int32 else torch.float32).contiguous() for k,
               v in tensors.items()}
    for name, t in tensors.items():
        header[name] = {"dtype": "I32" if t.dtype == torch.int32 else "F32", "shape": list(t.shape),
                        "data_offsets": [at, at + 4 * t.numel()]}
        at += 4 * t.numel()
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + 8) % 64)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for t in tensors.values():
            f.write(ctypes.string_at(t.data_ptr(), 4 * t.numel()))

# -- schedules: lists indexed by level --

class Schedule:
    def __init__(self, form, levels=6):
        T = self.levels = levels
        if form == "cdrl":
            low = math.atan(math.exp(-0.5 * 9.8))
            span = math.atan(math.exp(0.5 * 5.1)) - low
            u = torch.arange(T + 1, dtype=torch.float64).div(T).float()
            angle = torch.tensor(span).float() * u + torch.tensor(low).float()
            self.logsnr = -2 * rounded(torch.log, rounded(torch.tan, angle))
            l = self.logsnr.double()
            self.abar, self.sbar = torch.sigmoid(l).sqrt().tolist(), torch.sigmoid(-l).sqrt().tolist()
            self.a = [self.abar[0]] + [self.abar[t] / self.abar[t - 1] for t in range(1, T + 1)]
            self.b2 = 4e-4
        else:
            q = [math.sqrt(1 - (1e-4 + (0.02 - 1e-4) * j / 999)) for j in range(1000)]
            cuts = [i * (1000 // (2 * (T - 1))) for i in range(T)] + [999]
            self.logsnr = None
            self.a = [math.prod(q[(cuts[i - 1] + 1 if i else 0):cuts[i] + 1]) for i in range(T + 1)]
            self.abar = [math.prod(self.a[:i + 1]) for i in range(T + 1)]
            self.sbar = [math.sqrt(1 - v * v) for v in self.abar]
            self.b2 = 2e-4
        self.s = [math.sqrt(1 - v * v) for v in self.a]

    def scale(self, t): return self.a[t + 1] if t + 1 < self.levels else 1.0
    def step2(self, t): return self.sbar[t] / self.sbar[0] * self.b2 * self.s[t + 1] ** 2
    def proposal(self, t): return self.sbar[t] / self.sbar[t + 1] * self.s[t + 1] * self.scale(t)
    def value(self, t):
        return level_value(self.logsnr[t]) if self.logsnr is not None else torch.tensor(float(t))

def rounded(fn, x):
    """fn of floats, rounded to float once, which PyTorch's own is not always."""
    return fn(x.double()).float()

def level_value(logsnr):
    return 1000 * (rounded(torch.atan, rounded(torch.exp, -0.5 * logsnr.float().clamp(-20, 20)))
                   / (0.5 * math.pi))

def embedding(value, width, dtype):
    half = width // 2
    # PyTorch's own: drl.h has the same bits
    w = torch.exp(torch.arange(half, dtype=torch.float32) * -(math.log(10000) / (half - 1)))
    turn = value.float()[:, None] * w[None, :]
    return torch.cat([rounded(torch.sin, turn), rounded(torch.cos, turn)], 1).to(dtype)

# -- parameters: a dict by name; with a generator, a missing one is drawn when it is first asked for --

class Weights(dict):
    def __init__(self, tensors=(), generator=None, dtype=torch.float32, gain=1.0):
        super().__init__(tensors)
        self.generator, self.dtype, self.gain, self.folded = generator, dtype, gain, None

    def at(self, name, *shape):
        if name not in self and self.generator is not None:
            n = torch.randn(shape, generator=self.generator, dtype=torch.float64)
            fan = math.prod(shape[1:])
            if re.search(r"norm\d?\.weight$|\.g$", name): n = 1 + 0.1 * n
            elif name.endswith("bias"): n = 0.1 * n
            elif not name.endswith(("_u", "_v")):
                n = n / math.sqrt(fan) * (self.gain if "temb_final" in name else 1)
            self[name] = n.to(self.dtype)
        t = self[name]
        assert tuple(t.shape) == shape, (name, tuple(t.shape), shape)
        return t

    def spectral(self, name, *shape):
        """W / (u' W v), u and v as they are."""
        if self.folded is not None and name in self.folded: return self.folded[name]
        w = self.at(name + "_orig", *shape)
        fresh = name + "_u" not in self
        u, v = self.at(name + "_u", shape[0]), self.at(name + "_v", math.prod(shape[1:]))
        if fresh: self.power_iteration(name, 10)
        u, v = self[name + "_u"], self[name + "_v"]
        return w / torch.dot(u, torch.mv(w.flatten(1), v))

    @torch.no_grad()
    def power_iteration(self, name, times=1):
        w, u = self[name + "_orig"].flatten(1), self[name + "_u"]
        for _ in range(times):
            v = F.normalize(torch.mv(w.t(), u), dim=0, eps=1e-12)
            u = F.normalize(torch.mv(w, v), dim=0, eps=1e-12)
        self[name + "_u"], self[name + "_v"] = u, v

    def norms(self): return [k[:-5] for k in self if k.endswith("_orig")]
    def parameters(self): return [k for k in self if not k.endswith(("_u", "_v"))]

    @torch.no_grad()
    def fold(self, on):
        """Between updates the normalised weights do not change; on: they are computed once, here."""
        self.folded = None
        if on: self.folded = {k: self.spectral(k, *self[k + "_orig"].shape).detach() for k in self.norms()}

def conv(p, x, name, k, size=3, spectral=False, bias=True):
    shape = (k, x.shape[1]) + ((size, size) if x.dim() == 4 else ())
    w = p.spectral(name + ".weight", *shape) if spectral else p.at(name + ".weight", *shape)
    b = p.at(name + ".bias", k) if bias else None
    return F.conv2d(x, w, b, padding=size // 2) if x.dim() == 4 else F.linear(x, w, b)

def one_hot(label, classes, dtype):
    return torch.eye(classes + 1, dtype=dtype)[label.long()]

def lrelu(x): return F.leaky_relu(x, 0.2)

class Sizes:
    def __init__(self, form, base, blocks, mult=(1, 2, 2, 2), unet=32, unet_blocks=1, classes=0):
        self.form, self.base, self.blocks, self.mult = form, base, blocks, mult
        self.unet, self.unet_blocks, self.classes = unet, unet_blocks, classes

def energy(p, d, x, value, label=None):
    """f(x, level value, label) [N]."""
    cdrl, n = d.form == "cdrl", len(d.mult)
    e = conv(p, embedding(value, d.base, x.dtype), "energy.temb_map1", 4 * d.base, spectral=cdrl)
    e = conv(p, lrelu(e), "energy.temb_map2", 4 * d.base, spectral=cdrl)
    if d.classes:
        e = e + conv(p, one_hot(label, d.classes, x.dtype), "energy.y_map", 4 * d.base, spectral=True)
    e = lrelu(e)
    x = conv(p, x, "energy.module_list.0" if cdrl else "energy.conv_in", d.base, spectral=cdrl)
    for i in range(n):
        c = d.base * d.mult[i]
        for j in range(d.blocks):
            name = "energy.level%d.block%d" % (i, j)
            if cdrl: name = "energy.module_list.%d" % (1 + i * (d.blocks + 1) + j)
            shift = conv(p, e, name + ".temb_map", c, spectral=cdrl)
            if cdrl: shift = lrelu(shift)
            h = conv(p, lrelu(x), name + ".conv1", c, spectral=cdrl) + shift[:, :, None, None]
            h = conv(p, lrelu(h), name + ".conv2", c, spectral=cdrl)
            h = h * (p.at(name + ".g", 1, c, 1, 1) if cdrl else p.at(name + ".g", c)[None, :, None, None])
            if x.shape[1] != c: x = conv(p, x, name + ".short_cut", c, spectral=cdrl)
            x = h + x
        if i + 1 < n: x = F.avg_pool2d(x, 2)
    return (F.relu(x).sum((2, 3)) * conv(p, e, "energy.temb_final", x.shape[1], bias=not cdrl)).sum(1)

def norm(p, x, name):
    return F.group_norm(x, 32, p.at(name + ".weight", x.shape[1]), p.at(name + ".bias", x.shape[1]), 1e-6)

def unet_block(p, d, x, e, name, resample=0, dropout=0.0):
    h = F.silu(norm(p, x, name + ".norm1"))
    if resample < 0: h, x = F.avg_pool2d(h, 2), F.avg_pool2d(x, 2)
    if resample > 0: h, x = F.interpolate(h, scale_factor=2), F.interpolate(x, scale_factor=2)
    h = conv(p, h, name + ".conv1", d.unet)
    scale, shift = conv(p, e, name + ".mlp.1", 2 * d.unet)[:, :, None, None].chunk(2, 1)
    h = F.silu(norm(p, h, name + ".norm2") * (1 + scale) + shift)
    if dropout: h = F.dropout(h, dropout)
    h = conv(p, h, name + ".conv2", d.unet)
    return h + (conv(p, x, name + ".res_conv", d.unet, 1) if x.shape[1] != d.unet else x)

def attention(p, d, x, name):
    n, c, h, w = x.shape
    qkv = conv(p, norm(p, x, name + ".norm"), name + ".to_qkv", 3 * c, 1)
    q, k, v = qkv.reshape(n, 3 * c, h * w).chunk(3, 1)
    a = torch.softmax(torch.bmm(q.transpose(1, 2), k) / math.sqrt(c), 2)
    return conv(p, torch.bmm(v, a.transpose(1, 2)).reshape(n, c, h, w), name + ".to_out", c, 1) + x

def initializer(p, d, x, value, label=None, dropout=0.0):
    """g(x, level value of x, label)."""
    def stage(h, name, m):
        h, m = unet_block(p, d, h, e, "%s.%d" % (name, m), 0, dropout), m + 1
        if h.shape[2] in (16, 8): h, m = attention(p, d, h, "%s.%d" % (name, m)), m + 1
        return h, m
    e = conv(p, embedding(value, d.unet, x.dtype), "initializer.time_mlp.1", 4 * d.unet)
    e = conv(p, F.silu(e), "initializer.time_mlp.3", 4 * d.unet)
    if d.classes: e = e + conv(p, one_hot(label, d.classes, x.dtype), "initializer.y_mlp.0", 4 * d.unet)
    e = F.silu(e)
    h = conv(p, x, "initializer.init_conv", d.unet)
    skip = [h]
    for i in range(3):
        m = 0
        for _ in range(d.unet_blocks):
            h, m = stage(h, "initializer.downs.%d" % i, m)
            skip.append(h)
        if i < 2:
            h = unet_block(p, d, h, e, "initializer.downs.%d.%d" % (i, m), -1, dropout)
            skip.append(h)
    h = unet_block(p, d, h, e, "initializer.mid_block1", 0, dropout)
    h = attention(p, d, h, "initializer.mid_attn")
    h = unet_block(p, d, h, e, "initializer.mid_block2", 0, dropout)
    for i in range(3):
        m = 0
        for _ in range(d.unet_blocks + 1):
            h, m = stage(torch.cat([h, skip.pop()], 1), "initializer.ups.%d" % i, m)
        if i < 2: h = unet_block(p, d, h, e, "initializer.ups.%d.%d" % (i, m), 1, dropout)
    return conv(p, F.silu(norm(p, h, "initializer.norm")), "initializer.final_conv", x.shape[1]) + x

# -- chains --

def gradient(f, y):
    y = y.detach().requires_grad_(True)
    with torch.enable_grad(): v = f(y)
    return v.detach(), torch.autograd.grad(v.sum(), y)[0]

def column(values, like): return torch.tensor(values, dtype=like.dtype)[:, None, None, None]

def langevin(f, sc, t, y, x_next, noise, noise_scale=1.0):
    """A step a draw; t a level an image. f: y -> [N]."""
    step2 = column([sc.step2(i) for i in t], y)
    pull = column([1 / sc.s[i + 1] ** 2 if i + 1 < sc.levels else 0.0 for i in t], y)
    for eps in noise:
        drift = gradient(f, y)[1] / step2 - pull * (y - x_next)
        y = y + step2 / 2 * drift + step2.sqrt() * noise_scale * eps
    return y

def sample_drl(p, d, sc, x, noise):
    for i in range(sc.levels):
        t = [sc.levels - 1 - i] * len(x)
        value = torch.stack([sc.value(k) for k in t])
        x = langevin(lambda y: energy(p, d, y, value), sc, t, x, x, noise[i], 0.99) / sc.scale(t[0])
    return x

def sample_cdrl(p, d, sc, label, w, noise, steps):
    def guided(fn, x, value):
        full = fn(p, d, x, value.expand(len(x)), label)
        if not d.classes: return full
        return (w + 1) * full - w * fn(p, d, x, value.expand(len(x)), torch.zeros_like(label))
    x = noise[0]
    for i in range(sc.levels):
        t = sc.levels - 1 - i
        draws = noise[1 + i * (steps + 1):1 + (i + 1) * (steps + 1)]
        with torch.no_grad(): y = guided(initializer, x, sc.value(t + 1)) + sc.proposal(t) * draws[0]
        y = langevin(lambda v: guided(energy, v, sc.value(t)), sc, [t] * len(x), y, x, draws[1:])
        x = y / sc.scale(t)
    score = sc.a[1] * gradient(lambda v: guided(energy, v, sc.value(0)), y)[1] / (2e-4 * sc.s[1] ** 2)
    return (x + sc.sbar[0] ** 2 * score) / sc.abar[0]

def gradients(p, prefix, loss):
    names = [k for k in p.parameters() if k.startswith(prefix)]
    return dict(zip(names, torch.autograd.grad(loss, [p[k] for k in names])))

def watched(p):
    for k in p.parameters(): p[k] = p[k].detach().requires_grad_(True)

# -- what reference files record --

def record_drl(p, d, sc, given):
    """(name, value) of everything that follows from the tensors in `given`."""
    for name, values in (("a", sc.a), ("sigma", sc.s), ("a_cum", sc.abar), ("sigma_cum", sc.sbar)):
        yield "schedule." + name, torch.tensor(values)
    f, dx = gradient(lambda y: energy(p, d, y, given["in.t"].float()), given["in.x"])
    yield "out.energy", f
    yield "out.energy_grad_x", dx
    t = given["train.t"].tolist()
    value = given["train.t"].float()
    abar, sbar = column([sc.abar[i] for i in t], f), column([sc.sbar[i] for i in t], f)
    a, s = column([sc.a[i + 1] for i in t], f), column([sc.s[i + 1] for i in t], f)
    x_t = abar * given["train.x0"] + sbar * given["train.noise_xt"]
    x_next = a * x_t + s * given["train.noise_xt1"]
    scale = column([sc.scale(i) for i in t], f)
    y = langevin(lambda y: energy(p, d, y, value), sc, t, x_next, x_next, given["train.noise_langevin"])
    yield "train.x_neg", y / scale
    watched(p)
    weight = torch.tensor([sc.s[1] / sc.s[i + 1] for i in t], dtype=f.dtype)
    difference = energy(p, d, scale * x_t, value) - energy(p, d, scale * given["train.x_neg"], value)
    loss = (-difference * weight).mean()
    yield "train.loss", loss.reshape(1)
    for k, g in gradients(p, "energy.", loss).items(): yield "grad." + k, g
    yield "sample.out", sample_drl(p, d, sc, given["sample.x_T"], given["sample.noise"])

def record_cdrl(p, d, sc, given, w, steps, quick=None):
    """quick: the same weights in float32, for chains, which are most of the work (and which a kink bends in
    either precision)."""
    quick = quick or p
    yield "out.logsnr_schedule", sc.logsnr
    x, label, value = given["in.x"], given.get("in.label"), level_value(given["in.logsnr"])
    f, dx = gradient(lambda y: energy(p, d, y, value, label), x)
    yield "out.energy", f
    yield "out.energy_grad_x", dx
    watched(p)
    g = initializer(p, d, x, value, label)
    yield "out.initializer", g
    for k, v in gradients(p, "energy.", energy(p, d, x, value, label).mean()).items(): yield "grad." + k, v
    for k, v in gradients(p, "initializer.", (g ** 2).sum() / len(x)).items(): yield "grad." + k, v
    t = [i - 1 for i in given["train.t"].tolist()]
    value, value_next = torch.stack([sc.value(i) for i in t]), torch.stack([sc.value(i + 1) for i in t])
    def diffused(levels):
        abar, sbar = column([sc.abar[i] for i in levels], f), column([sc.sbar[i] for i in levels], f)
        return abar * given["train.x0"] + sbar * given["train.noise_data"]
    x_t, x_next = diffused(t), diffused([i + 1 for i in t])
    proposal = column([sc.proposal(i) for i in t], f)
    yield "train.x_t", x_t
    yield "train.x_t1", x_next
    y_0 = initializer(p, d, x_next, value_next, label) + proposal * given["train.noise_initializer"]
    yield "train.y_init", y_0
    scale = column([sc.scale(i) for i in t], f)
    for k in p: p[k] = p[k].detach()
    quick.fold(True)
    start = (v.detach().to(quick.dtype) for v in (y_0, x_next, given["train.noise_langevin"]))
    x_neg = langevin(lambda y: energy(quick, d, y, value, label), sc, t, *start).to(f.dtype) / scale
    yield "train.x_neg", x_neg
    quick.fold(False)
    y_k = scale * given.get("train.x_neg", x_neg)
    watched(p)
    weight = torch.tensor([sc.s[1] / sc.s[i + 1] for i in t], dtype=f.dtype)
    loss = (-(energy(p, d, scale * x_t, value, label) - energy(p, d, y_k, value, label)) * weight).mean()
    yield "train.energy_loss", loss.reshape(1)
    for k, v in gradients(p, "energy.", loss).items(): yield "train.grad." + k, v
    y_0 = initializer(p, d, x_next, value_next, label) + proposal * given["train.noise_initializer"]
    loss = ((y_0 - y_k) ** 2).sum() / len(x)
    yield "train.initializer_loss", loss.reshape(1)
    for k, v in gradients(p, "initializer.", loss).items(): yield "train.grad." + k, v
    for k in p: p[k] = p[k].detach()
    quick.fold(True)
    yield "sample.out", sample_cdrl(quick, d, sc, label, w, given["sample.noise"].to(quick.dtype), steps)
    quick.fold(False)

# -- --check --

# Images whose chain has a leaky ReLU within rounding of its kink, which bends it in correct code, too.
KINKS = {("cdrl-cond-16x16x3.safetensors", "sample.out", 0): 3e-2,
         ("drl-t6-16x16x3.safetensors", "train.x_neg", 1): 5e-3}

def check(path, dtype):
    meta, given = file_read(path)
    given = {k: v.to(dtype) if v.dtype == torch.float32 and k != "in.logsnr" else v for k, v in given.items()}
    p = Weights({k: v for k, v in given.items() if k.startswith(("energy.", "initializer."))}, dtype=dtype)
    if "ebm_dim" in meta:
        d = Sizes("cdrl", int(meta["ebm_dim"]), int(meta["ebm_blocks"]), unet=int(meta["unet_dim"]),
                  unet_blocks=int(meta["unet_blocks"]), classes=int(meta["classes"]))
        ours = record_cdrl(p, d, Schedule("cdrl"), given, float(meta["guide"]), int(meta["steps"]))
    else:
        d = Sizes("drl", int(meta["base"]), int(meta["blocks"]),
                  tuple(int(v) for v in meta["mult"].split(",")))
        ours = record_drl(p, d, Schedule("drl"), given)
    failed, whole, name = 0, {}, os.path.basename(path)
    compared = set()
    def line(what, error, bound):
        ok = error <= bound
        print("%s %-45s %9.2e  bound %7.1e  %s" % (name, what, error, bound, "ok" if ok else "FAILED"),
              flush=True)
        return not ok
    for what, value in ours:
        compared.add(what)
        a, b = value.detach().double(), given[what].double()
        assert a.shape == b.shape, (what, a.shape, b.shape)
        if "grad." in what:
            group = what.split("energy.")[0].split("initializer.")[0]
            group += "energy" if "energy." in what else "initializer"
            whole.setdefault(group, []).append((what, (a - b).norm().item(), b.norm().item()))
        elif what in ("train.x_neg", "sample.out"):
            for i in range(len(a)):
                failed += line("%s image %d" % (what, i), ((a[i] - b[i]).norm() / b[i].norm()).item(),
                               KINKS.get((name, what, i), 1e-4))
        else: failed += line(what, ((a - b).norm() / b.norm()).item(), 5e-5)
    for what, rows in whole.items():
        size = math.sqrt(sum(b * b for _, _, b in rows))
        failed += line(what + " as one vector", math.sqrt(sum(e * e for _, e, _ in rows)) / size, 5e-5)
        worst = max(rows, key=lambda r: r[1] / (5e-5 * r[2] + 3e-8 * size))
        failed += line(worst[0] + ", the worst", worst[1] / (worst[2] or size),
                       (5e-5 * worst[2] + 3e-8 * size) / (worst[2] or size))
    for k in given:         # nothing that a file records goes unlooked at
        if k.startswith(("out.", "grad.", "train.grad.", "schedule.")) and k not in compared:
            print("%s %s FAILED: not computed here" % (name, k))
            failed += 1
    return failed

# -- --write --

# Width and blocks of both networks, channels, batch: the whole models of bench.c.
SIZES = {"small": (32, 1, 32, 1, 1, 32), "medium": (64, 2, 32, 3, 3, 16), "official": (128, 8, 64, 3, 3, 4)}

def write(path, size, classes, seed, steps, dtype):
    base, blocks, unet, unet_blocks, channels, _ = SIZES[size]
    batch, guide, gain, side = 2, 1.5, 30.0, 32
    generator = torch.Generator().manual_seed(seed)
    d, sc = Sizes("cdrl", base, blocks, unet=unet, unet_blocks=unet_blocks, classes=classes), Schedule("cdrl")
    p = Weights(generator=generator, dtype=torch.float32, gain=gain)
    def draw(*lead): return torch.randn(lead + (batch, channels, side, side), generator=generator)
    given = {"in.x": draw(), "in.logsnr": torch.linspace(-4.5, 9.0, batch)}
    if classes: given["in.label"] = torch.tensor([i % classes + 1 for i in range(batch)], dtype=torch.int32)
    with torch.no_grad():           # draws all weights
        energy(p, d, given["in.x"], level_value(given["in.logsnr"]), given.get("in.label"))
        initializer(p, d, given["in.x"], level_value(given["in.logsnr"]), given.get("in.label"))
    p.generator = None
    millions = [sum(p[k].numel() for k in p.parameters() if k.startswith(n)) / 1e6
                for n in ("energy.", "initializer.")]
    print("%s: energy %.2f M, initializer %.2f M parameters" % (size, *millions), flush=True)
    given["train.t"] = torch.tensor([3, 6][:batch], dtype=torch.int32)
    given["train.x0"] = draw().clamp(-1, 1)
    given["train.noise_data"] = draw()
    given["train.noise_initializer"] = draw()
    given["train.noise_langevin"] = draw(steps)
    given["sample.noise"] = draw(1 + sc.levels * (steps + 1))
    tensors = dict(p)
    tensors.update(given)
    wide = {k: v.to(dtype) if v.dtype == torch.float32 and k != "in.logsnr" else v for k, v in given.items()}
    q = Weights({k: v.to(dtype) for k, v in p.items()}, dtype=dtype)
    begin = time.time()
    for name, value in record_cdrl(q, d, sc, wide, guide, steps, p):
        value = tensors[name] = value.detach().float()
        # the losses start from the recorded one
        if name == "train.x_neg": wide[name] = value.to(dtype)
        if "grad." not in name:
            print("%7.1f s  %-22s norm %.4g" % (time.time() - begin, name, value.norm().item()), flush=True)
    file_write(path, {"image": side, "channels": channels, "ebm_dim": base, "ebm_blocks": blocks,
                      "unet_dim": unet, "unet_blocks": unet_blocks, "batch": batch,
        "classes": classes, "seed": seed, "steps": steps, "guide": guide, "gain": gain}, tensors)
    print("%s: %.0f MB" % (path, os.path.getsize(path) / 1e6))

# -- times --

class Peer:
    """One of bench.c's whole models here: step() is a Langevin step of a batch, or a training iteration of
    K = 15."""
    def __init__(self, size, training, layout):
        base, blocks, unet, unet_blocks, channels, batch = SIZES[size]
        self.d = Sizes("cdrl", base, blocks, unet=unet, unet_blocks=unet_blocks)
        self.sc, self.layout, self.count = Schedule("cdrl"), layout, 0
        p = self.p = Weights(generator=torch.Generator().manual_seed(1))
        self.x = self.placed(torch.randn(batch, channels, 32, 32))
        t = [i % self.sc.levels for i in range(batch)]
        with torch.no_grad():
            energy(p, self.d, self.x, self.values(t))
            if training: initializer(p, self.d, self.x, self.values(t))
        p.generator = None
        for k in p: p[k] = self.placed(p[k]) if p[k].dim() == 4 else p[k]
        if not training: p.fold(True)
        self.t, self.step = t, self.train if training else self.one_step
        if training:
            watched(p)
            names = [[k for k in p.parameters() if k.startswith(n)] for n in ("energy.", "initializer.")]
            self.groups = [[p[k] for k in n] for n in names]
            self.average = [[v.detach().clone() for v in g] for g in self.groups]
            self.optimizers = [torch.optim.Adam(self.groups[0], 1e-4, foreach=True),
                               torch.optim.AdamW(self.groups[1], 1e-5, weight_decay=0, foreach=True)]

    def placed(self, x):
        last = self.layout == "channels_last"
        return x.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)
    def values(self, t): return torch.stack([self.sc.value(i) for i in t])

    def chain(self, y, x_next, t, steps):
        value = self.values(t)
        step2 = column([self.sc.step2(i) for i in t], y)
        pull = column([1 / self.sc.s[i + 1] ** 2 if i + 1 < self.sc.levels else 0.0 for i in t], y)
        noise = step2.sqrt()
        for _ in range(steps):
            g = gradient(lambda v: energy(self.p, self.d, v, value), y)[1]
            y = y + step2 / 2 * (g / step2 - pull * (y - x_next)) + noise * torch.randn_like(y)
        return y

    def one_step(self): self.x = self.chain(self.x, self.x, self.t, 1)

    def update(self, which):
        torch.nn.utils.clip_grad_norm_(self.groups[which], 1.0)
        self.optimizers[which].step()
        self.optimizers[which].zero_grad(set_to_none=True)
        with torch.no_grad():
            torch._foreach_mul_(self.average[which], 0.9999)
            torch._foreach_add_(self.average[which], self.groups[which], alpha=1e-4)

    def train(self):
        p, d, sc, t, x = self.p, self.d, self.sc, self.t, self.x
        eps = torch.randn_like(x)
        x_t = column([sc.abar[i] for i in t], x) * x + column([sc.sbar[i] for i in t], x) * eps
        x_next = column([sc.abar[i + 1] for i in t], x) * x + column([sc.sbar[i + 1] for i in t], x) * eps
        weight = torch.tensor([sc.s[1] / sc.s[i + 1] for i in t])
        scale, value = column([sc.scale(i) for i in t], x), self.values(t)
        for k in p.norms(): p.power_iteration(k)
        loss = -(energy(p, d, scale * x_t, value) * weight).mean()
        loss.backward()
        mean = initializer(p, d, x_next, self.values([i + 1 for i in t]), dropout=0.1)
        y_0 = mean + column([sc.proposal(i) for i in t], x) * torch.randn_like(x)
        p.fold(True)
        y = self.chain(y_0.detach(), x_next, t, 15)
        p.fold(False)
        (energy(p, d, y, value) * weight).mean().backward()
        self.update(0)
        ((y_0 - y) ** 2).sum().div(len(x)).backward()
        self.update(1)

    def timed(self, seconds):
        """(milliseconds, of all processors), medians of as many steps as fit, one at least; the first of all
        is not timed."""
        if not self.count:
            self.one_step() if self.step == self.one_step else self.chain(self.x, self.x, self.t, 1)
        t, cpu, self.count = [], [], self.count + 1
        while not t or sum(t) + t[-1] / 2 < seconds:
            begin, cpu_begin = time.perf_counter(), time.process_time()
            self.step()
            t.append(time.perf_counter() - begin)
            cpu.append(time.process_time() - cpu_begin)
        return median(t) * 1e3, median(cpu) * 1e3

def busy():
    """Seconds that the machine's processors have worked on anything, and on this process and its children."""
    ticks = [int(v) for v in open("/proc/stat").readline().split()[1:9]]
    own = [resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    busy = (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")
    return busy, sum(r.ru_utime + r.ru_stime for r in own), time.perf_counter()

def best_isa():
    flags = open("/proc/cpuinfo").read()
    for flag, name in (("avx512f", "avx512"), ("avx2", "avx2"), ("asimd", "neon")):
        if flag in flags: return name
    return "portable"

def spread(values): return "%.3g (%.3g-%.3g)" % (median(values), min(values), max(values)) if values else "-"

LAYOUTS = ["NCHW", "channels_last"]

def times(o):
    bench = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "build", "bench")
    if not os.access(bench, os.X_OK): sys.exit("peers.py: build/bench is missing: make build/bench")
    isa = o.isa or best_isa()
    maps = set(l.split()[-1] + "\n" for l in open("/proc/self/maps") if "blas" in l)
    blas = re.findall(r"\S*blas\S*", "".join(maps))
    blas = os.path.realpath(blas[0]).split("/")[-2] if blas else "no BLAS"
    print("PyTorch %s, %s, beside drl.h on %s; milliseconds and ratios: medians of the rounds (least-most)" %
          (torch.__version__, blas, isa))
    print("On one thread, processor time: what other programs do hardly counts. On two, time of the day, "
          "which needs a quiet machine.")
    titles = ("", "threads", "rounds", "drl.h", "PyTorch NCHW", "channels_last", "best peer / ours", "others")
    print("%-22s %7s %6s %20s %20s %20s %20s %6s" % titles, flush=True)
    for size in SIZES:
        for training in (False, True):
            name = "%s-%s-b%d" % ("train" if training else "langevin", size, SIZES[size][5])
            if o.names and not any(name.startswith(n) for n in o.names): continue
            peers = {layout: Peer(size, training, layout) for layout in o.layouts}
            for threads in o.threads:
                torch.set_num_threads(threads)
                ours, theirs, before = [], {k: [] for k in LAYOUTS}, busy()
                rounds = min(o.rounds, 2) if size == "official" else o.rounds
                for _ in range(rounds):
                    out = subprocess.run([bench, "--json", "--isa", isa, "--threads", str(threads), name],
                                         stdout=subprocess.PIPE, check=True).stdout
                    ours.append(json.loads(out.splitlines()[-1])["cpu_ms" if threads == 1 else "ms"])
                    for k in peers: theirs[k].append(peers[k].timed(1.0)[threads == 1])
                best = min(peers, key=lambda k: median(theirs[k]))
                after = busy()
                others = (after[0] - before[0] - (after[1] - before[1])) / (after[2] - before[2])
                shown = [spread(ours), spread(theirs["NCHW"]), spread(theirs["channels_last"]),
                         spread([b / a for a, b in zip(ours, theirs[best])])]
                print("%-22s %7d %6d %20s %20s %20s %20s %6.2f" % (name, threads, rounds, *shown, others),
                      flush=True)
    print("others: processors that other programs kept busy meanwhile, of %d" % os.cpu_count())

def main():
    a = argparse.ArgumentParser(usage=__doc__)
    a.add_argument("--check", nargs="+")
    a.add_argument("--write")
    a.add_argument("--size", default="official", choices=SIZES)
    a.add_argument("--classes", type=int, default=0)
    a.add_argument("--seed", type=int, default=1)
    a.add_argument("--steps", type=int, default=5)
    a.add_argument("--float", action="store_true")
    a.add_argument("--rounds", type=int, default=5)
    a.add_argument("--threads", type=lambda v: [int(i) for i in v.split(",")], default=[1, 2])
    a.add_argument("--layouts", type=lambda v: v.split(","), default=LAYOUTS)
    a.add_argument("--isa")
    a.add_argument("names", nargs="*")
    o = a.parse_args()
    dtype = torch.float32 if o.float else torch.float64
    if o.check:
        failed = sum(check(path, dtype) for path in o.check)
        print("peers.py: %s" % ("%d comparisons failed" % failed if failed else "all within bounds"))
        sys.exit(failed > 0)
    elif o.write: write(o.write, o.size, o.classes, o.seed, o.steps, dtype)
    else: times(o)

main()
