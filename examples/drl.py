"""drl.py - drl.h from Python: load or make a model, sample, score and train it, with numpy arrays.
Needs numpy (Debian: apt-get install python3-numpy) and a shared build of the library:
    cc -shared -fPIC -O2 -DDRL_THREADS -DDRL_IMPLEMENTATION -x c drl.h -o build/libdrl.so -lm

    model = drl.Model("examples/models/sprites.safetensors", threads=2)
    pixels = model.sample(count=4, seed=42, labels=[1, 2, 3, 4], guidance=1.5)
    F, gradient = model.energy(pixels, level=0)

Images are float32 arrays (n,h,w,c) of about [-1, 1]. Labels are classes 1.., 0 for none: one for all or one
for each. What the library refuses raises drl.Error with its sentence. Further keywords are fields of the
call's description in drl.h. Memory is freed with the last reference to the model. Threads take turns. """
import ctypes as ct, os, re, threading, weakref
import numpy as np
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DRL_H = os.path.join(ROOT, "drl.h")
with open(DRL_H, encoding="utf-8") as f:
    HEADER = re.sub(r"/\*.*?\*/", "", f.read().partition("#ifdef DRL_IMPLEMENTATION")[0], flags=re.S)
TYPES = dict(int=ct.c_int, float=ct.c_float, double=ct.c_double, size_t=ct.c_size_t, uint64_t=ct.c_uint64)
class Error(Exception):     # what the library refused or could not do; args: a drl_status and its sentence
    def __str__(self): return self.args[1]

def type_of(name):
    """A type of drl.h. Structs are made of their declarations there, so no layout is written twice."""
    if name in TYPES: return TYPES[name]
    struct = re.search(r"typedef struct %s \{(.*?)\} %s;" % (name, name), HEADER, re.S)
    if not struct: return ct.c_int if "typedef enum %s {" % name in HEADER else ct.c_void_p
    fields = []
    for line in filter(None, map(str.strip, struct[1].split(";"))):
        line = re.sub(r"\(\*(\w+)\)\(.*", r"*\1", line, flags=re.S)         # a pointer to a function
        base, names = re.match(r"(?:const )?(\w+)(.*)", line, re.S).groups()
        for star, field, length in re.findall(r"(\*)?\s*(\w+)(?:\[(\w+)\])?", names):
            kind = ct.c_void_p if star else type_of(base)
            if length: kind *= int(re.search(r"#define %s +(\d+)" % length, HEADER)[1])
            fields.append((field, kind))
    return TYPES.setdefault(name, type(name, (ct.Structure,), {"_fields_": fields}))

def described(name, **values):
    """A zeroed struct with these fields. Arrays become pointers, so they must outlive it."""
    d = type_of(name)()
    for field, value in values.items():
        if field not in dict(d._fields_): raise TypeError("%s has no field %s" % (name, field))
        if isinstance(value, np.ndarray): value = value.ctypes.data
        setattr(d, field, value)
        if isinstance(value, int) and getattr(d, field) != value:
            raise ValueError("%s: %s is %d, which its type does not hold" % (name, field, value))
    return d
def plain(struct): return {field: getattr(struct, field) for field, _ in struct._fields_}
def free(lib, ctx, model):
    lib.drl_model_destroy(model)
    lib.drl_ctx_destroy(ctx)

class Model:
    """Of a file; without a path new, with random weights and fields of drl_model_desc."""
    def __init__(self, path=None, threads=1, seed=1, batch=32, trainable=0,
                 library=os.path.join(ROOT, "build", "libdrl.so"), **fields):
        if path and fields: raise TypeError("the file itself says %s" % ", ".join(fields))
        if os.path.getmtime(library) < os.path.getmtime(DRL_H):
            raise ValueError("%s is older than drl.h: build it again" % library)
        use = described("drl_model_desc", batch=batch, trainable=trainable, **fields)
        self.lib, self.lock = ct.CDLL(library), threading.RLock()
        self.lib.drl_ctx_message.restype = self.lib.drl_status_text.restype = ct.c_char_p
        self.lib.drl_model_energy.restype = type_of("drl_energy")
        self.ctx, self.model, self.desc = ct.c_void_p(), ct.c_void_p(), type_of("drl_model_desc")()
        self.call(self.lib.drl_ctx_create, described("drl_ctx_desc", threads=threads), ct.byref(self.ctx))
        weakref.finalize(self, free, self.lib, self.ctx, self.model)
        if path: self.call(self.lib.drl_model_load, self.ctx, os.fsencode(path), use, ct.byref(self.model))
        else: self.call(self.lib.drl_model_create, self.ctx, use, ct.c_uint64(seed), ct.byref(self.model))
        self.call(self.lib.drl_model_describe, self.model, self.desc)
        self.shape = self.desc.height, self.desc.width, self.desc.channels

    def call(self, function, *arguments):
        """A function of the library, given structs and arrays as pointers; failures become exceptions."""
        arguments = [ct.c_void_p(a.ctypes.data) if isinstance(a, np.ndarray) else
                     ct.byref(a) if isinstance(a, ct.Structure) else a for a in arguments]
        with self.lock:
            status = function(*arguments)
            if status in (0, 1): return             # DRL_OK, DRL_RUNNING
            text = self.ctx and self.lib.drl_ctx_message(self.ctx) or self.lib.drl_status_text(status)
            if self.ctx: self.lib.drl_ctx_clear(self.ctx)
            raise Error(status, text.decode(errors="replace"))

    def images(self, x, dtype=np.float32, n=None):
        x = np.ascontiguousarray(x, dtype)
        if x.ndim == 4 and x.shape[1:] == self.shape and len(x) == (n or len(x) or 1): return x
        raise ValueError("images are (%s, %d, %d, %d), not %s" % (n or "n", *self.shape, x.shape))

    def ints(self, values, n=None, dtype=np.int32):
        values = np.asarray(0 if values is None else values)
        whole = values.astype(dtype)
        if (whole != values).any(): raise ValueError("labels and levels are small whole numbers")
        return np.ascontiguousarray(np.broadcast_to(whole, whole.size if n is None else n))

    def sample(self, count=1, labels=None, resample_from=(), **fields):
        """Images (count,h,w,c), not clamped. start, known and mask are arrays of that shape, too."""
        fields.update(resample_from=self.ints(resample_from), resample_count=np.size(resample_from))
        out = self.images(np.empty((count, *self.shape), np.float32))
        for name in {"start", "known", "mask"} & {*fields}:
            fields[name] = self.images(fields[name], np.uint8 if name == "mask" else np.float32, count)
        if labels is not None: fields["labels"] = self.ints(labels, count)
        self.call(self.lib.drl_sample, self.model, described("drl_sample_desc", count=count, **fields), out)
        return out

    def energy(self, y, level=0, labels=None):
        """F [n], log densities of points y_t up to a constant, t = level, and dF/dy (n,h,w,c)."""
        return self.batches("eval", y, level, labels, [np.empty(len(y), np.float32)])

    def propose(self, x_next, level=0, labels=None):
        """The initializer's mean of y_t (n,h,w,c), t = level, given x_{t+1}."""
        return self.batches("propose", x_next, level, labels, [])[0]

    def batches(self, name, x, level, labels, out):
        x, e = self.images(x), self.lib.drl_model_energy(self.model)
        if not getattr(e, name): raise ValueError("the model has no initializer")
        arrays = [x, self.ints(level, len(x)), self.ints(labels, len(x))] + out + [np.empty_like(x)]
        run = ct.CFUNCTYPE(ct.c_int, ct.c_void_p, ct.c_int, *[ct.c_void_p] * len(arrays))(getattr(e, name))
        for i in range(0, len(x), e.batch):
            self.call(run, e.user, len(x[i:i + e.batch]), *[a[i:i + e.batch] for a in arrays])
        return arrays[3:]

    def train(self, x, labels=None, steps=1000, balanced=0, on_step=None, **fields):
        """on_step(report), a dict of drl_train_report, is called after each step; a true result ends the run.
        Afterwards, also when it fails, the model has the averaged weights. Returns the last report."""
        x, last, raised, trainer = self.images(x), {}, [], ct.c_void_p()
        classes = self.ints(labels, len(x), np.uint8)
        size = dict(zip(("count", "height", "width", "channels"), x.shape), classes=int(classes.max()))
        data = described("drl_dataset", values=x, labels=None if labels is None else classes, **size)
        def step(_, report):
            try:
                last.update(plain(report[0]))
                level = type_of("drl_level_report") * last["levels"]
                last["level"] = [plain(report) for report in level.from_address(last["level"])]
                if last["diverged"]: last["diverged"] = ct.string_at(last["diverged"]).decode()
                return bool(on_step and on_step(last))
            except BaseException as e: raised.append(e)     # Ctrl-C, too: it ends the run and is raised below
            return 1
        step = ct.CFUNCTYPE(ct.c_int, ct.c_void_p, ct.POINTER(type_of("drl_train_report")))(step)
        train = described("drl_train_desc", **fields)
        run = described("drl_run_desc", steps=steps, balanced=balanced)
        run.on_step = ct.cast(step, ct.c_void_p)
        with self.lock:
            self.call(self.lib.drl_trainer_create, self.model, train, ct.byref(trainer))
            try: self.call(self.lib.drl_train, trainer, data, run)
            finally:
                self.lib.drl_trainer_swap_average(trainer)
                self.lib.drl_trainer_destroy(trainer)
        if raised: raise raised[0]
        return last

    def save(self, path, dtype=0):                  # of the weights: F32 is 0, F16 2, BF16 3
        self.call(self.lib.drl_model_save, self.model, dtype, os.fsencode(path))
