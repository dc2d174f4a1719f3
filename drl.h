/* drl.h - energy-based generative models by Diffusion Recovery Likelihood, in one C file.
 *         No dependencies but libc and libm.
 *
 *     #define DRL_IMPLEMENTATION                     // in one file of the program
 *     #include "drl.h"
 *     #include <stdio.h>
 *
 *     int main(void)
 *     {
 *         static float pixels[16 * 32 * 32 * 4];                     // 16 RGBA sprites, values about [-1, 1]
 *         drl_ctx *ctx = NULL;
 *         drl_model *m = NULL;
 *         drl_sample_desc how = {0};                                 // zero means: a good default
 *         how.count = 16;  how.seed = 42;
 *         if (drl_ctx_create(NULL, &ctx) != DRL_OK) return 1;
 *         if (drl_model_load(ctx, "sprites.safetensors", NULL, &m) != DRL_OK ||
 *             drl_sample(m, &how, pixels) != DRL_OK)
 *             printf("%s\n", drl_ctx_message(ctx));                  // one sentence, with the numbers in it
 *         drl_model_destroy(m);
 *         drl_ctx_destroy(ctx);
 *         return 0;
 *     }
 *
 *     cc program.c -lm
 *
 * Public domain or MIT, whichever you prefer: the full text is at the end of this file.
 *
 * CONTENTS, by search tag. Each tag stands here, at its declarations, and as [tag.impl] at its code (that of
 * [status] is in [context.impl]; [config] has none).
 *
 *   easy       train, sample and save: a context, data, a model, a picture
 *     [config]     version, linkage                     [sample]     Langevin steps, proposals, strides
 *     [status]     what can go wrong                    [model]      one description, one file; the U-Net
 *     [context]    memory, threads, first error         [train]      recovery likelihood, drl_train
 *   medium     your own data, energy, schedule and network
 *     [io]         arrays, images, vectors in files     [schedule]   how noise grows over the levels
 *     [net]        operators, planned once              [energy]     log densities: mixtures, sums, yours
 *     [scorer]     scores from flash, for devices
 *   complete   everything else, research last
 *     [rng]        draws by seed, stream, index         [mcmc]       chains of one level, log Z
 *     [tensor]     NHWC views                           [metrics]    Frechet distance and others
 *     [conv]       3x3 and 1x1 convolution; [conv.impl] says which kernel does which
 *   private    [platform] [elementary] [dispatch] [vectors] [describe]
 *     [io.impl]    [io.arrays] [io.files] [io.scan] [io.magic] [io.safetensors] [io.safetensors.write]
 *                  [io.npy] [io.netpbm] [io.dataset] [io.vectors]
 *     [net.impl]   [ops]: every operator of a network: equation, sizes, forward pass, gradients;
 *                  [net.plan] [net.params] [net.run]
 *     [train.impl] [train.batch] [train.loss] [train.step] [train.run] [train.checkpoint]
 *     [simd]       every kernel, written once for all instruction sets
 *   [changing]     how to add an operator, a field, an instruction set, a file version; random streams;
 *                  version history
 *
 * MANUAL
 *
 * The method
 *
 * Let x be an image of the data. Its level t is x_t = abar_t x + sbar_t eps, eps ~ N(0, I):
 * the larger t is, of 0..T, the less image and the more noise. Level 0 has a little noise,
 * too, which only a denoising step takes away. (Formulas with abar call the image x_0, as
 * the papers do.) One level follows from the other: x_{t+1} = a_{t+1} x_t + s_{t+1} eps.
 * Each level has an energy-based model of y_t = a_{t+1} x_t, log p(y_t) = F(y_t, t) + const.
 * It is trained by the likelihood of recovering y_t from x_{t+1}:
 *     log p(y_t | x_{t+1}) = F(y_t, t) - |y_t - x_{t+1}|^2 / (2 s_{t+1}^2) + const   [Gao21] (6)
 * This density has one mode or few, so K Langevin steps sample it. Sampling starts from
 * noise and walks the levels down. F is a *negative* energy throughout. One network f
 * serves all levels: F = f / step_t^2, where step_t is the size of a Langevin step
 * (drl_step_rule has other choices). In the cooperative form [Zhu24] a second network,
 * the initializer, proposes where the chains of each level start; energies whose gradients
 * are good denoisers can do so by themselves (drl_proposal). With 1000 fine levels
 * ("T1k") p(y_t | x_{t+1}) is nearly N(x_{t+1} + s^2 grad F, s^2 I), and no Langevin step
 * is needed: K = 0.
 *
 * What it does not do: no GPU, no double precision, no automatic differentiation of user
 * code, no network protocols, no picture formats but the data sets of [io], no data
 * augmentation but mirroring, shifts and exchanged colour channels (drl_train_desc).
 *
 * STEP BY STEP
 *
 * The code of these steps is compiled and run by `make test`. Every description begins as
 * { 0 }, which means a good default for every field. The context keeps the first failure,
 * so a program may make several calls and look at drl_ctx_status once: calls that were
 * given a NULL object by an earlier failure fail, too, and do nothing.
 *
 * 1. Load a model and sample it
 *
 * The program above is the whole. Of a model with classes, ask for one with `labels`, and
 * more strongly with a guidance weight. `known` and `mask` keep a part of the images;
 * further passes from lower levels, `resample_from`, fit the rest to it. `stride` leaves
 * levels out, and their cost. The same seed gives the same pixels on every machine with a
 * fused instruction set (see Repeatability).
 *
 *     static drl_status hearts(drl_model *m, float *pixels)
 *     {
 *         static const int labels[4] = { 1, 1, 1, 1 };  // 1 of 1..classes: hearts
 *         drl_sample_desc how = { 0 };
 *         how.count = 4;
 *         how.labels = labels;
 *         how.guidance = 0.5f;
 *         return drl_sample(m, &how, pixels);         // 4 images NHWC, about [-1, 1]
 *     }
 *
 * 2. Train
 *
 * Data sets come from files (drl_dataset_load) or from memory of the program's own (fill
 * in a drl_dataset). A model is described, a trainer made for it, and drl_train runs the
 * loop. Samples are better from the averaged weights.
 *
 *     static drl_status train(drl_ctx *ctx, const drl_dataset *data, const char *path)
 *     {
 *         drl_model_desc d = { 0 };
 *         drl_train_desc how = { 0 };
 *         drl_run_desc run = { 0 };
 *         drl_model *m = NULL;
 *         drl_trainer *t = NULL;
 *         d.form = DRL_FORM_CDRL;                     // with an initializer network
 *         d.height = data->height;
 *         d.width = data->width;
 *         d.channels = data->channels;
 *         d.classes = data->classes;
 *         d.levels = 12;                              // many levels, few steps on each
 *         d.schedule = DRL_SCHEDULE_SHIFTED;
 *         d.steps = 3;
 *         d.trainable = 1;
 *         run.steps = 2000;
 *         drl_model_create(ctx, &d, 1, &m);           // 1: the seed of its first weights
 *         drl_trainer_create(m, &how, &t);
 *         drl_train(t, data, &run);                   // run.on_step can watch and stop it
 *         drl_trainer_save(t, "run.checkpoint");      // drl_trainer_resume goes on from here
 *         drl_trainer_swap_average(t);
 *         drl_model_save(m, DRL_DTYPE_F16, path);
 *         drl_trainer_destroy(t);
 *         drl_model_destroy(m);
 *         return drl_ctx_status(ctx);
 *     }
 *
 * 3. A few milliseconds a frame
 *
 * A sampler is the same as drl_sample, step by step: run it until the frame's time is
 * over, look at the image whenever you like, save it with the game (drl_sampler_save).
 * The bits do not depend on how it was cut up.
 *
 *     static int frame(drl_sampler *s, double (*clock)(void *user), float *pixels)
 *     {
 *         double end = clock(NULL) + 0.002;           // 2 ms, in the clock's own unit
 *         drl_status status = drl_sampler_run_until(s, clock, NULL, end);
 *         drl_sampler_image(s, 0, pixels);
 *         return status == DRL_RUNNING;               // else finished, or failed
 *     }
 *
 * 4. Fixed memory
 *
 * A context can live in a block of the program's, with all that it creates; no other
 * memory is ever taken. drl_model_size and its like say beforehand what a model, a network
 * or a trainer needs; drl_ctx_bytes_used says what all objects, samplers too, hold now.
 *
 *     static drl_ctx *in_block(void *block, size_t size)
 *     {
 *         drl_ctx_desc d = { 0 };
 *         drl_ctx *ctx = NULL;
 *         d.memory = block;
 *         d.memory_size = size;
 *         drl_ctx_create(&d, &ctx);                   // NULL: the block is too small
 *         return ctx;
 *     }
 *
 * 5. An energy of your own
 *
 * Anything that returns F(y, t) and its gradient can be sampled. A sum of energies with
 * weights is an energy: this one asks a trained model for dark images, equally strongly on
 * all levels. Alpha, each fourth number of RGBA, is left out, or sprites would vanish. Find
 * the weight by trying: one at which few images change, doubled until shapes break. With
 * `resample_from` shapes mend, and the rule gets weaker. A rule about details should be weak
 * where y = a (abar x_0 + sbar eps) holds much noise: its weight is k / (2 a^2 sbar^2), with
 * a = drl_schedule_scale(schedule, t), and `user` leads to drl_model_schedule(m) (`noise_of`
 * in examples/07_own_energy.c). f and gradient may be NULL. Without a model, drl_schedule_of
 * and drl_sampler_create_energy do the same for any energy (examples/04_mixture.c).
 *
 *     static drl_status dark(void *user, int n, const float *y, const int *level, const int *label,
 *                            float *f, float *gradient)  // F(y) = -sum(colours of y) / 2
 *     {
 *         size_t size = *(const size_t *)user, j;
 *         int i;
 *         for (i = 0; i < n; ++i) {
 *             double sum = 0;
 *             for (j = 0; j < size; ++j) sum += j % 4 < 3 ? (double)y[(size_t)i * size + j] : 0;
 *             for (j = 0; gradient && j < size; ++j)
 *                 gradient[(size_t)i * size + j] = j % 4 < 3 ? -0.5f : 0;
 *             if (f) f[i] = (float)(-0.5 * sum);
 *         }
 *         (void)level;
 *         (void)label;
 *         return DRL_OK;
 *     }
 *     static drl_status dark_images(drl_ctx *ctx, drl_model *m, float *pixels)
 *     {
 *         drl_sum_term term[2] = { 0 };
 *         drl_sample_desc how = { 0 };
 *         drl_energy both;
 *         drl_sum *sum = NULL;
 *         term[0].energy = drl_model_energy(m);
 *         term[0].weight = 1;
 *         term[1].energy.eval = dark;
 *         term[1].energy.user = &term[0].energy.size;
 *         term[1].energy.size = term[0].energy.size;
 *         term[1].energy.batch = term[0].energy.batch;
 *         term[1].weight = 1;
 *         drl_sum_create(ctx, term, 2, &sum);
 *         both = drl_sum_energy(sum);
 *         how.energy = &both;
 *         drl_sample(m, &how, pixels);                // how.count is 0: one image
 *         drl_sum_destroy(sum);
 *         return drl_ctx_status(ctx);
 *     }
 *
 * 6. A network of your own
 *
 * A build function writes the energy's network down, operator by operator. Set
 * drl_model_desc.build to it: trainer, checkpoints, samplers and files are the library's.
 *
 *     static void build(drl_net *net, void *user)
 *     {
 *         const drl_model_desc *d = (const drl_model_desc *)user;  // .build_user
 *         drl_layer_desc first = { 0 }, last = { 0 };
 *         drl_value x = drl_net_input(net, d->height, d->width, d->channels), h;
 *         first.name = "first";
 *         first.out_channels = 16;
 *         last.name = "last";
 *         last.out_channels = d->channels;
 *         last.init_scale = -1;                       // zero at first
 *         h = drl_net_act(net, drl_net_conv2d(net, x, &first), DRL_ACT_SILU);
 *         h = drl_net_add(net, h, drl_net_upsample2(net, drl_net_avgpool2(net, h)));
 *         h = drl_net_add(net, x, drl_net_conv2d(net, h, &last));
 *         drl_net_spatial_sum(net, drl_net_dot(net, h, h), -0.5f);  // F(y) = -|y + u(y)|^2 / 2
 *     }
 *
 * 7. Several machines
 *
 * Processes on several machines, which MPI calls ranks, train one model: each makes the
 * same descriptions but for its number, and gives drl_train the same data set. A function
 * of the program's adds floats over all of them. The number of ranks changes no bit of
 * the result as long as `groups` stays. examples/12_mpi.c is the whole program.
 *
 *     static drl_status add_over_ranks(void *user, float *sum, size_t count);   // by MPI
 *     static void one_of(int ranks, int rank, drl_train_desc *how)
 *     {
 *         how->ranks = ranks;
 *         how->rank = rank;
 *         how->groups = 8;                            // the same bits with 1, 2, 4 or 8 ranks
 *         how->reduce = add_over_ranks;
 *     }
 *
 * REFERENCE
 *
 * Layout. Images are NHWC float32 in about [-1, 1]. Colours of RGBA are not multiplied by
 * alpha, and mean nothing where it is -1. Conv weights [K,C,R,S] and dense ones [K,C] as
 * in PyTorch's files. Letters: N images, H rows, W columns, C channels (of a convolution's
 * result K), R S taps, T levels, and elsewhere K Langevin steps.
 *
 * Ownership. Objects are made by drl_X_create (or _load, _open) and freed by
 * drl_X_destroy (_close). They keep a pointer to their context, which must outlive them.
 * An object takes one or two blocks from the allocator when it is made; passes, training
 * and a sampler's steps allocate nothing. drl_net_size, drl_model_size and
 * drl_trainer_size say beforehand how many bytes an object will hold, and a context can
 * live in a block of the caller's.
 *
 * Descriptions. Structs named _desc are read during the call only. Zero each whole before
 * setting a field, drl_X_desc d = { 0 }: zero is the good default of every field. Their
 * last field, `canary`, stays 0. A description whose canary is anything else was not
 * zeroed, and is refused. Other public structs are the caller's to fill in.
 *
 * Bytes. A function that writes into memory, drl_X_save_memory(x, dst, capacity,
 * &written) and its like, sets `written` to the number of bytes. With dst NULL and
 * capacity 0 it sets only that: so the size is asked for. A capacity that is too small
 * fails with DRL_E_SHAPE, and dst keeps what it had.
 *
 * Errors. Fallible functions return drl_status, and write results only on success. The
 * context keeps the first failure and a sentence with the numbers until drl_ctx_clear.
 * Nothing is printed, nothing aborts; DRL_ASSERT guards promises inside this file only.
 * Arguments are refused, and nothing is changed, when they are NULL, out of range, not
 * finite, of sizes that do not fit, misaligned, or share memory where they may not;
 * functions without a status then return 0, -1 or NULL, or do nothing. Three mistakes
 * cannot be found out: a pointer to less memory than asked for, or to memory that is
 * gone; buffers that overlap in part where sharing one buffer is allowed; sizes in a
 * drl_tensor that are not those of its memory. After a failure scratch (`work`) is
 * undefined, and so are the images in a sampler that has failed.
 *
 * Threads. A context and its objects belong to one thread at a time; contexts are
 * independent. Inside a call the work is given to the job hook in at most `threads`
 * pieces. No thread is ever started except by DRL_THREADS together with
 * drl_ctx_desc.threads > 1. A process may fork between calls. The child may use and
 * destroy its copies of all contexts and objects. Threads do not survive a fork: with the
 * built-in pool the child's calls do the work of all threads on the calling one, to the
 * same bits, and a context that the child creates has a pool of its own. If one thread
 * forks while another is inside a call, the child may only destroy that call's context
 * and objects. A job hook of your own must itself survive the fork.
 *
 * Repeatability. An instruction set is *fused* when it has a multiply-add that rounds
 * once, and *unfused* when product and sum are rounded one after the other. Portable C,
 * FMA128, AVX2, AVX-512 and NEON are fused and give the same bits, at any thread count:
 * every sum has one order, every fused multiply-add is written as one, logarithm and sine
 * are our own, and random draws are functions of (seed, stream, index). SSE2 and WASM are
 * unfused: they agree with each other to the bit, and differ from the fused sets in the
 * last bits. SSE2 is chosen only where the processor has no FMA (x86 before 2012 or so),
 * WASM in every build with simd128 (emcc -msimd128); ask for DRL_ISA_PORTABLE where such
 * a program must agree with a fused set, which is slow. On 32-bit x86 say -msse2: its
 * older registers keep digits that no other machine has. With gcc, -ffast-math does not
 * change this file's arithmetic, but makes a program flush denormal numbers to zero;
 * clang still takes approximate square roots. With both compilers, numbers that are not
 * finite are noticed as always.
 *
 * Accuracy. Arithmetic is float32. A direct convolution's error is that of one chain of
 * C*R*S fused multiply-adds, Winograd's about three times as much. Tolerances in the
 * tests follow the length of the sum; energies and gradients agree with a
 * double-precision implementation to about 1e-6.
 *
 * Speed. Nearly all of the time goes to 3x3 convolutions, by Winograd's algorithm where a
 * layer is large enough for it. All instruction sets are in every binary; no -m flag is
 * needed but WebAssembly's -msimd128. With gcc the kernels are optimised even without -O;
 * with clang say -O2. MinGW's gcc has a fault: it aligns stack slots to 16 bytes and
 * stores vectors of 32 and 64 bytes there, with instructions that need more. What it
 * builds chooses FMA128, which has no such vectors, and takes AVX2 or AVX-512 only when
 * asked. clang for MinGW has no such fault and chooses as on other systems.
 *
 * Compilers. gcc, clang and MinGW are tested, on the targets of tests/CONFORMANCE.md.
 * There is code for MSVC, but nobody has compiled it there: MSVC is untested.
 *
 * Options, to be defined before the include:
 *     DRL_IMPLEMENTATION   in one file: the code, not only the declarations
 *     DRL_LINKED           DRL_IMPLEMENTATION does nothing, since an object file that is linked has the code
 *                          (cc -DDRL_LINKED X.c drl.o -lm)
 *     DRL_STATIC           with DRL_IMPLEMENTATION: all functions are static to that file. gcc leaves out
 *                          those that are not called, in two thirds of the time. With DRL_LINKED: nothing
 *     DRL_API              linkage of public functions, instead (dllexport and the like)
 *     DRL_THREADS          a built-in thread pool (pthreads or Win32) for contexts that ask for threads
 *     DRL_NO_SIMD          portable C only
 *     DRL_NO_STDIO         nothing that takes a path, no stdio.h
 *     DRL_NO_MALLOC        no stdlib.h; contexts need an allocator or a block
 *     DRL_ASSERT(x)        instead of assert
 *     DRL_HEADER_NAME      "drl.h", if the file is saved under another name
 *
 * References
 *     [Gao21]     Gao, Song, Poole, Wu, Kingma: Learning Energy-Based Models by Diffusion Recovery
 *                 Likelihood, ICLR 2021
 *     [Zhu24]     Zhu, Xie, Wu, Gao: Learning Energy-Based Models by Cooperative Diffusion Recovery
 *                 Likelihood, ICLR 2024
 *     [Miyato18]  Miyato, Kataoka, Koyama, Yoshida: Spectral Normalization for Generative Adversarial
 *                 Networks, ICLR 2018
 *     [Lavin15]   Lavin, Gray: Fast Algorithms for Convolutional Neural Networks, CVPR 2016
 *                 (arXiv 1509.09308)
 *     [Salmon11]  Salmon, Moraes, Dror, Shaw: Parallel Random Numbers: As Easy as 1, 2, 3, SC 2011
 *     [Salimans16] Salimans, Goodfellow, Zaremba, Cheung, Radford, Chen: Improved Techniques for Training
 *                 GANs, NeurIPS 2016
 *     [Neal01]    Neal: Annealed Importance Sampling, Statistics and Computing 11, 2001
 *     [Neal11]    Neal: MCMC Using Hamiltonian Dynamics, Handbook of Markov Chain Monte Carlo, 2011
 *                 (arXiv 1206.1901)
 *     [Roberts98] Roberts, Rosenthal: Optimal Scaling of Discrete Approximations to Langevin Diffusions,
 *                 JRSS B 60, 1998
 *     [Hoffman14] Hoffman, Gelman: The No-U-Turn Sampler, JMLR 15, 2014
 *     [Geyer92]   Geyer: Practical Markov Chain Monte Carlo, Statistical Science 7, 1992
 *     [Vehtari21] Vehtari, Gelman, Simpson, Carpenter, Buerkner: Rank-Normalization, Folding, and
 *                 Localization, Bayesian Analysis 16, 2021
 *     [Grosse15]  Grosse, Ghahramani, Adams: Sandwiching the Marginal Likelihood Using Bidirectional Monte
 *                 Carlo, arXiv 1511.02543
 *     [Vincent11] Vincent: A Connection Between Score Matching and Denoising Autoencoders, Neural
 *                 Computation 23, 2011
 *     [Karras24]  Karras, Aittala, Lehtinen, Hellsten, Aila, Laine: Analyzing and Improving the Training
 *                 Dynamics of Diffusion Models, CVPR 2024 (arXiv 2312.02696)
 *     [Salimans21] Salimans, Ho: Should EBMs Model the Energy or the Score?, Energy Based Models Workshop,
 *                 ICLR 2021
 *     [Salimans22] Salimans, Ho: Progressive Distillation for Fast Sampling of Diffusion Models, ICLR 2022
 *     [Meng22]    Meng, He, Song, Song, Wu, Zhu, Ermon: SDEdit: Guided Image Synthesis and Editing with
 *                 Stochastic Differential Equations, ICLR 2022
 *     [Kynkaanniemi24] Kynkaanniemi, Aittala, Karras, Laine, Aila, Lehtinen: Applying Guidance in a Limited
 *                 Interval Improves Sample and Distribution Quality in Diffusion Models, NeurIPS 2024
 *     [Boldo08]   Boldo, Melquiond: Emulation of FMA and Correctly Rounded Sums: Proved Algorithms Using
 *                 Rounding to Odd, IEEE Transactions on Computers 57, 2008
 *     [Heusel17]  Heusel, Ramsauer, Unterthiner, Nessler, Hochreiter: GANs Trained by a Two Time-Scale
 *                 Update Rule, NeurIPS 2017
 */
#ifndef DRL__PASS
#ifndef DRL_H
#define DRL_H

/* -----------------------------------------------------------------------------------------------------------
 * [config] - version, linkage and what the C library has to offer.
 * -------------------------------------------------------------------------------------------------------- */
#include <stddef.h>
#include <stdint.h>

#define DRL_VERSION_MAJOR  0
#define DRL_VERSION_MINOR  2
#define DRL_VERSION_PATCH  0
#define DRL_VERSION_STRING "0.2.0"

#ifndef DRL_HEADER_NAME
#define DRL_HEADER_NAME "drl.h"     /* this file's name: it includes itself once per instruction set */
#endif

#ifndef DRL_API
#if !defined(DRL_STATIC) || defined(DRL_LINKED)
#define DRL_API extern
#elif defined(__GNUC__)
#define DRL_API static __attribute__((unused))     /* no warning about what the program does not call */
#else
#define DRL_API static
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* -----------------------------------------------------------------------------------------------------------
 * [status] - every fallible function returns one of these; the context keeps the sentence that goes with it.
 * -------------------------------------------------------------------------------------------------------- */
#define DRL_STATUS_LIST(X)                                                                       \
    X(DRL_OK,            0, "ok")                                                                \
    X(DRL_RUNNING,       1, "not finished yet")                /* samplers, paths, drl_train */ \
    X(DRL_E_ARGUMENT,    2, "bad argument")                    /* NULL, zero, out of range */    \
    X(DRL_E_SHAPE,       3, "sizes do not fit each other")                                       \
    X(DRL_E_MEMORY,      4, "out of memory")                                                     \
    X(DRL_E_IO,          5, "file cannot be read or written")                                    \
    X(DRL_E_FORMAT,      6, "file is not what it should be")                                     \
    X(DRL_E_NUMERIC,     7, "a number is not finite")                                            \
    X(DRL_E_DIVERGED,    8, "training has diverged")                                             \
    X(DRL_E_UNSUPPORTED, 9, "not available in this build or on this machine")

typedef enum drl_status {
#define DRL__X(name, value, text) name = value,
    DRL_STATUS_LIST(DRL__X)
#undef DRL__X
    DRL__STATUS_END
} drl_status;

/* drl_status_text - the short text of a status, "unknown status" for any other number. */
DRL_API const char *drl_status_text(drl_status status);

/* -----------------------------------------------------------------------------------------------------------
 * [context] - allocator, job system, instruction set and first error of all that is created with it. There
 * are no globals. One context serves one thread at a time; several contexts never meet.
 * -------------------------------------------------------------------------------------------------------- */
typedef struct drl_ctx drl_ctx;

/* Both functions or neither (then malloc and free). alloc_fn returns NULL when it has nothing left; it may
 * return memory of any alignment. */
typedef struct drl_allocator {
    void *(*alloc_fn)(void *user, size_t bytes);
    void  (*free_fn)(void *user, void *pointer, size_t bytes);      /* bytes as given to alloc_fn */
    void *user;
} drl_allocator;

/* An engine's own job system. parallel_for calls job(arg, 0) .. job(arg, count - 1) in any order, on any
 * threads, each once, and returns when all have returned. count is never above the context's `threads`.
 * Results do not depend on order or thread count. */
typedef void (*drl_job_fn)(void *arg, int index);
typedef struct drl_jobs {
    void (*parallel_for)(void *user, int count, drl_job_fn job, void *arg);
    void *user;
} drl_jobs;

typedef enum drl_isa {
    DRL_ISA_AUTO = 0,       /* the best one that the processor and the operating system have */
    DRL_ISA_PORTABLE,       /* plain C; the definition that the fused sets reproduce bit for bit */
    DRL_ISA_SSE2,           /* no fused multiply-add: unfused, its last bits differ */
    DRL_ISA_FMA128,         /* vectors of 16 bytes with FMA: fused, in builds by MinGW's gcc only, and the
                             * best one there */
    DRL_ISA_AVX2,           /* with FMA */
    DRL_ISA_AVX512,         /* AVX-512 F */
    DRL_ISA_NEON,           /* aarch64 */
    DRL_ISA_WASM            /* WebAssembly's simd128 (-msimd128): unfused, with the bits of SSE2 */
} drl_isa;

typedef struct drl_ctx_desc {
    drl_allocator allocator;    /* zero: malloc and free */
    void  *memory;              /* a block of the caller's in which the context and all it creates live, see
                                 * below; needs memory_size */
    size_t memory_size;         /* bytes; excludes an allocator */
    int    threads;             /* 1..64, zero means 1; above 1 needs jobs, or a build with DRL_THREADS. After
                                 * a fork the child has none of the pool's threads: its calls run one piece
                                 * after the other */
    drl_jobs jobs;              /* zero: serial, or the built-in pool with DRL_THREADS and threads > 1 */
    drl_isa  isa;               /* zero: chosen at run time. A set that is missing: DRL_E_UNSUPPORTED */
    int canary;                 /* leave it 0, see Descriptions in the manual */
} drl_ctx_desc;

/* A block of the caller's (memory, memory_size). Objects are made and destroyed in any order, and no other
 * memory is ever taken. An object takes one piece of the block or two, and at most 144 bytes of a piece are
 * the library's own. Each piece goes to the lowest place that is large enough; a piece that is freed is
 * joined with its free neighbours. Destroying in reverse order never leaves a gap. Other orders may, and a
 * gap serves only what fits into it, since nothing in use is moved. So a block that has room for all that
 * lives at one time can still be too cut up; the sentence of DRL_E_MEMORY then says how many bytes are free
 * and how many of them lie in one piece. When all is destroyed, the block is whole again.
 * Loading a model and destroying the one before afterwards needs room for both, and for the file meanwhile
 * (not with drl_model_load_memory). If all models have one description and a block has taken two rounds of
 * such a loop, it takes any number. With AddressSanitizer free bytes cannot be touched until
 * drl_ctx_destroy. */

/* drl_ctx_create - make a context; desc NULL means all defaults. One allocation, and the pool's threads if
 * asked for. Fails with DRL_E_ARGUMENT (half an allocator, threads out of range), DRL_E_MEMORY,
 * DRL_E_UNSUPPORTED. */
DRL_API drl_status drl_ctx_create(const drl_ctx_desc *desc, drl_ctx **ctx);
DRL_API void       drl_ctx_destroy(drl_ctx *ctx);          /* NULL is allowed, as in every destroy function */

/* The first failure since creation or drl_ctx_clear: its status, and one sentence with the actual numbers (""
 * when there was none). */
DRL_API drl_status  drl_ctx_status(const drl_ctx *ctx);
DRL_API const char *drl_ctx_message(const drl_ctx *ctx);
DRL_API void        drl_ctx_clear(drl_ctx *ctx);

DRL_API drl_isa     drl_ctx_isa(const drl_ctx *ctx);        /* the set in use, never DRL_ISA_AUTO */
/* "portable", "sse2", "fma128", "avx2", "avx512", "neon" or "wasm". */
DRL_API const char *drl_isa_name(drl_isa isa);
DRL_API int         drl_ctx_threads(const drl_ctx *ctx);
DRL_API size_t      drl_ctx_bytes_used(const drl_ctx *ctx); /* what objects hold now, overhead included */
DRL_API size_t      drl_ctx_bytes_peak(const drl_ctx *ctx); /* the most that was held at once */

/* -----------------------------------------------------------------------------------------------------------
 * [rng] - counter-based random numbers: draw i of a stream is a pure function of (seed, stream, i), made by
 * Philox 4x32-10 [Salmon11]. Saving a position is copying the struct. Normals are made by Box-Muller from two
 * neighbouring words, with our own log, sin and cos.
 * -------------------------------------------------------------------------------------------------------- */
typedef struct drl_rng {
    uint64_t seed, stream;
    uint64_t position;          /* index of the next draw; a uniform, an integer and a normal use one each */
} drl_rng;

DRL_API float drl_rng_uniform(drl_rng *rng);            /* [0, 1), a multiple of 2^-24 */
DRL_API int   drl_rng_below(drl_rng *rng, int n);       /* 0..n-1, bias below n * 2^-32; n < 1: 0, no draw */
/* out [count] <- draws of N(0, 1), computed with ctx's instruction set. */
DRL_API void  drl_rng_normals(drl_ctx *ctx, drl_rng *rng, float *out, size_t count);

/* -----------------------------------------------------------------------------------------------------------
 * [tensor] - a view: float32, dense, image by image, row by row, channels innermost (NHWC). Vectors are 1x1
 * images.
 * -------------------------------------------------------------------------------------------------------- */
typedef struct drl_tensor {
    float *data;
    int n, h, w, c;             /* images, rows, columns, channels; all >= 1 */
} drl_tensor;

DRL_API drl_tensor drl_tensor_of(float *data, int n, int h, int w, int c);
DRL_API size_t     drl_tensor_count(const drl_tensor *t);       /* n*h*w*c, 0 if that does not fit size_t */

/* -----------------------------------------------------------------------------------------------------------
 * [conv] - 3x3 (stride 1, zero padding 1) and 1x1 convolution with bias; a dense layer is the 1x1 one on 1x1
 * images. With weights in file order [K,C,R,S]
 *   y[n,i,j,k] = bias[k] + sum over r, s, c of x[n,i+r-1,j+s-1,c] * weight[k,c,r,s]
 * Weights are packed once, then used by any number of calls. On every instruction set an output element is
 * one chain of fused multiply-adds in the order r, s, c; with `winograd` it is 36 chains in the order c,
 * between transforms of a fixed order.
 * -------------------------------------------------------------------------------------------------------- */
typedef struct drl_conv2d_desc {
    int in_channels, out_channels;  /* >= 1 */
    int kernel;                     /* 3 or 1, zero means 3 */
    int winograd;                   /* nonzero: all passes of a 3x3 kernel by F(4x4, 3x3), a quarter of the
                                     * multiplications and about three times the rounding error. Pays from 4x4
                                     * pixels up.                                                    [Lavin15]
                                     * 1: packed weights take 4 times the memory. 2: nothing is packed; the
                                     * passes take the weights themselves and transform them block by block,
                                     * to the same bits, no slower where 36 C K floats do not fit the
                                     * caches */
    int canary;                 /* leave it 0, see Descriptions in the manual */
} drl_conv2d_desc;

/* Floats of one packed weight: transposed 0 for drl_conv2d_forward, 1 for drl_conv2d_input_grad. Depends on
 * ctx's instruction set. Returns 0, as do all functions that count floats, when there is no such
 * convolution or the number does not fit size_t. */
DRL_API size_t drl_conv2d_packed_count(const drl_ctx *ctx, const drl_conv2d_desc *d, int transposed);
/* packed <- scale * weight, in the order that the pass reads it. Nothing is done when
 * drl_conv2d_packed_count is 0. */
DRL_API void   drl_conv2d_pack(drl_ctx *ctx, const drl_conv2d_desc *d, int transposed,
                               const float *weight, float scale, float *packed);
/* Floats of scratch (`work`) that suffice for each of the three passes on n images of h x w, with ctx's
 * threads. */
DRL_API size_t drl_conv2d_work_count(const drl_ctx *ctx, const drl_conv2d_desc *d, int n, int h, int w);

/* The three passes on x (N,H,W,C) and y (N,H,W,K). None works in place. Fail with DRL_E_ARGUMENT,
 * DRL_E_SHAPE. Allocate nothing.
 *   bias            [K]; NULL means none
 *   dx              overwritten; added to, if accumulate is nonzero
 *   dweight, dbias  [K,C,R,S] and [K], added to; dbias may be NULL */
DRL_API drl_status drl_conv2d_forward(drl_ctx *ctx, const drl_conv2d_desc *d, const drl_tensor *x,
                                      const float *packed, const float *bias, drl_tensor *y, float *work);
DRL_API drl_status drl_conv2d_input_grad(drl_ctx *ctx, const drl_conv2d_desc *d, const drl_tensor *dy,
                                         const float *packed_transposed, drl_tensor *dx, int accumulate,
                                         float *work);
DRL_API drl_status drl_conv2d_param_grad(drl_ctx *ctx, const drl_conv2d_desc *d, const drl_tensor *x,
                                         const drl_tensor *dy, float *dweight, float *dbias, float *work);

/* -----------------------------------------------------------------------------------------------------------
 * [io] - files: arrays in safetensors, NPY and IDX, data sets of images and of vectors, and files written
 * whole or not at all.
 * Every reader accepts exactly its format; every failure leaves outputs and files as they were. DRL_NO_STDIO
 * leaves out all functions that take a path.
 * -------------------------------------------------------------------------------------------------------- */
#define DRL_DTYPE_LIST(X)           /* name, bytes, name in safetensors, name in NPY */ \
    X(DRL_DTYPE_F32,  4, "F32",  "f4")                                                  \
    X(DRL_DTYPE_F64,  8, "F64",  "f8")                                                  \
    X(DRL_DTYPE_F16,  2, "F16",  "f2")                                                  \
    X(DRL_DTYPE_BF16, 2, "BF16", "")                                                    \
    X(DRL_DTYPE_I64,  8, "I64",  "i8")                                                  \
    X(DRL_DTYPE_I32,  4, "I32",  "i4")                                                  \
    X(DRL_DTYPE_I16,  2, "I16",  "i2")                                                  \
    X(DRL_DTYPE_I8,   1, "I8",   "i1")                                                  \
    X(DRL_DTYPE_U64,  8, "U64",  "u8")                                                  \
    X(DRL_DTYPE_U32,  4, "U32",  "u4")                                                  \
    X(DRL_DTYPE_U16,  2, "U16",  "u2")                                                  \
    X(DRL_DTYPE_U8,   1, "U8",   "u1")                                                  \
    X(DRL_DTYPE_BOOL, 1, "BOOL", "b1")

typedef enum drl_dtype {
#define DRL__X(name, bytes, safetensors, npy) name,
    DRL_DTYPE_LIST(DRL__X)
#undef DRL__X
    DRL__DTYPE_END
} drl_dtype;

#define DRL_RANK_MAX 8

/* A view of an array, row-major; the data belongs to somebody else. Data inside a file has any alignment. */
typedef struct drl_array {
    const char *name;           /* in safetensors; "" elsewhere */
    drl_dtype   dtype;
    int         rank;           /* 0..DRL_RANK_MAX; 0 is a single number */
    size_t      shape[DRL_RANK_MAX];    /* may hold zeros: such an array has no elements */
    const void *data;
    size_t      bytes;          /* product of shape times the bytes of one element */
    int         swapped;        /* nonzero: elements have the other byte order than this machine (set by
                                 * readers) */
} drl_array;

/* An array of the program's own; `bytes` is computed. shape has `rank` entries. */
DRL_API drl_array drl_array_of(const char *name, drl_dtype dtype, int rank, const size_t *shape,
                               const void *data);
DRL_API size_t    drl_array_count(const drl_array *array);      /* elements; 0 if that does not fit size_t */
/* The elements in place, when they can be read as floats where they lie (F32, aligned, this machine's byte
 * order), else NULL. */
DRL_API const float *drl_array_floats(const drl_array *array);
/* dst [drl_array_count] <- every element as float: rounded to nearest, BOOL to 0 or 1. Fails with
 * DRL_E_ARGUMENT, DRL_E_SHAPE. */
DRL_API drl_status drl_array_to_float(drl_ctx *ctx, const drl_array *array, float *dst);

/* --- safetensors -------------------------------------------------------------------------------------------
 * drl_safetensors_open_memory - check everything and index it. data is used in place, may be read-only and
 * must outlive *out.
 * drl_safetensors_open        - the same on a file, which is read into one block first.
 * One allocation, at most about four times the header; time n log n for n names.
 * Refused with DRL_E_FORMAT are
 *   - a header above 100 MB or past the end of the file
 *   - a header that is not one strict UTF-8 JSON object, then spaces. Its members are objects of "dtype",
 *     "shape" and "data_offsets", and at most one "__metadata__" of strings
 *   - names that occur twice or hold a NUL, unknown dtypes, rank above 8
 *   - numbers with sign, fraction, exponent or leading zero, or that overflow
 *   - spans of data that are not shape times dtype, overlap, or leave holes or bytes over */
typedef struct drl_safetensors drl_safetensors;

DRL_API drl_status drl_safetensors_open_memory(drl_ctx *ctx, const void *data, size_t size,
                                               drl_safetensors **out);
#ifndef DRL_NO_STDIO
DRL_API drl_status drl_safetensors_open(drl_ctx *ctx, const char *path, drl_safetensors **out);
#endif
DRL_API void drl_safetensors_close(drl_safetensors *st);
DRL_API const drl_array *drl_safetensors_find(const drl_safetensors *st, const char *name);  /* or NULL */

/* What to write. The same description always gives the same bytes. */
typedef struct drl_safetensors_desc {
    const drl_array *arrays;        /* written in this order; names unique (compared pair by pair), UTF-8 */
    size_t count;                   /* zero: only metadata */
    const char *const *meta;        /* [2 * meta_count] key, value, key, value ...; keys unique, UTF-8 */
    size_t meta_count;
    int canary;                 /* leave it 0, see Descriptions in the manual */
} drl_safetensors_desc;

/* What an open file holds, in the order of its header, for files whose names are not known, and for metadata.
 * Owned by *st. NULL for NULL. */
DRL_API const drl_safetensors_desc *drl_safetensors_contents(const drl_safetensors *st);

/* Writing: see Bytes in the manual. The header is padded so that the data starts on a multiple of 64. Both
 * functions fail with DRL_E_ARGUMENT (names, dtypes) and DRL_E_SHAPE (bytes is not shape times dtype;
 * capacity too small), and allocate nothing. */
DRL_API drl_status drl_safetensors_write_memory(drl_ctx *ctx, const drl_safetensors_desc *desc,
                                                void *dst, size_t capacity, size_t *written);
#ifndef DRL_NO_STDIO
DRL_API drl_status drl_safetensors_write_file(drl_ctx *ctx, const char *path,
                                              const drl_safetensors_desc *desc);
#endif

/* --- NPY ---------------------------------------------------------------------------------------------------
 * drl_npy_parse - *out becomes a view of the array inside data: NPY 1.0, 2.0 or 3.0, either byte order. IDX
 * files are read by drl_dataset_parse. Allocates nothing. Fails with DRL_E_FORMAT, and with
 * DRL_E_UNSUPPORTED for valid files that are no drl_array (structured or complex types, Fortran order of
 * rank 2 and up, more than 8 axes). If the first bytes are those of another known format, the sentence
 * names it. */
DRL_API drl_status drl_npy_parse(drl_ctx *ctx, const void *data, size_t size, drl_array *out);

/* Writing: see Bytes in the manual. NPY version 1.0, little-endian, data on a multiple of 64. There is no
 * BF16 in NPY (DRL_E_ARGUMENT). Allocate nothing. */
DRL_API drl_status drl_npy_write_memory(drl_ctx *ctx, const drl_array *array,
                                        void *dst, size_t capacity, size_t *written);
#ifndef DRL_NO_STDIO
DRL_API drl_status drl_npy_write_file(drl_ctx *ctx, const char *path, const drl_array *array);
#endif

/* --- image data sets ---------------------------------------------------------------------------------------
 * A program may fill in the struct itself, over memory of its own, and use it everywhere. Images of 2 and 4
 * channels have alpha in the last one. Colour under alpha 0 means nothing, and files hold anything there:
 * whatever is read or copied here has colour 0 (-1 in a batch) wherever alpha is 0. A program that fills in
 * the struct sees to that itself. */
typedef struct drl_dataset {
    int count, height, width, channels;     /* >= 1, channels <= 4 */
    int classes;                            /* with labels: the largest of them, or more; without: 0 */
    const uint8_t *pixels;                  /* (count,height,width,channels); NULL when there are values */
    const uint8_t *labels;                  /* [count] 1..classes, 0 for none, as everywhere; or NULL */
    drl_ctx *owner;                         /* set when drl_dataset_destroy is to free it, else NULL */
    const float *values;                    /* (count,height,width,channels), -1..1; or NULL: see pixels */
} drl_dataset;

/* One file in memory. */
typedef struct drl_blob { const void *data; size_t bytes; } drl_blob;

/* The order of axes in an array of images. */
typedef enum drl_layout {
    DRL_LAYOUT_DEFAULT,         /* NHWC; what may as well be NCHW is refused with a sentence */
    DRL_LAYOUT_NHWC,            /* channels last: (n,h,w,c), (h,w,c), rows of h*w*c */
    DRL_LAYOUT_NCHW             /* channels first: (n,c,h,w), (c,h,w), rows of c*h*w */
} drl_layout;

/* What files do not say about themselves. Zeroed or NULL is right for most; where two readings are possible,
 * the failure names both, and the field that decides. */
typedef struct drl_dataset_desc {
    drl_layout layout;          /* of NPY and IDX; the others have their own */
    int height, width;          /* of an image, of a sheet before it is cut; needed for rows of numbers. Other
                                 * sizes are refused. Zero: as the file has it */
    int channels;               /* the same, 1..4; for rows zero means their length over height * width */
    double low, high;           /* the elements that become -1 and 1; others in between, none outside. Both
                                 * zero: 0 and 255 for U8, 0 and 65535 for U16, 0 and 1 for floats and BOOL,
                                 * 0 and the maxval for netpbm; other types need the two */
    int coarse_labels;          /* not zero: of CIFAR-100 the 20 coarse labels. Zero: the 100 fine ones */
    const int *classes;         /* [count] the class of each file's images, 1..255, or 0 for none, in place of
                                 * labels in files. NULL: files have labels, or there are none */
    int tile_height;            /* images are sheets, and are cut into tiles of this height and width, row by
                                 * row. Tiles whose alpha is 0 everywhere are left out. Zero: not cut */
    int tile_width;
    int canary;                 /* leave it 0, see Descriptions in the manual */
} drl_dataset_desc;

/* drl_dataset_parse - one data set from the contents of one or several files, recognised by content:
 *   NPY or IDX of any type, in either byte order, and NPY in Fortran order, too:
 *     rank 4 (N,H,W,C)            images
 *     rank 3 (N,H,W)              grey images, or one image (H,W,C) when channels is more than 1 in the
 *                                 description, or its height and width say so
 *     rank 2 (N,H*W*C)            images as rows, when height and width are given
 *     rank 1 (N), rank 2 (N,1)    labels, whole numbers 0..254. Files count from 0: label 0 is class 1
 *   netpbm: one picture of 8 or 16 bits, P5 (grey), P6 (RGB) or P7 (PAM: grey or RGB, with or without alpha)
 *   CIFAR-10 binary: rows of a label 0..9 and 3x32x32 bytes
 *   CIFAR-100 binary: rows of a coarse label 0..19, a fine one 0..99, and 3x32x32 bytes
 * Images are strung together in the order given, labels likewise; CIFAR files do not mix with others. All
 * images have one height, width and number of channels: none is made grey, or given colour or alpha. One
 * block, which copies: pixels of 1 byte when all files have whole numbers of the range 0..255, or BOOL, else
 * floats of 4 bytes. desc may be NULL.
 * What could be read in two ways is not guessed, but refused with a question: a single image (32,32,3) that
 * could be 32 narrow ones; rows of several channels without a layout; U8 that holds 0 and 1 only; U16 of at
 * most 12 bits; values outside of the range.
 * drl_dataset_load  - the same from files (all are held until the block is made, beside it).
 * drl_dataset_copy  - a block of its own from any struct; checks it, and sets classes when the source has 0.
 * Fail with DRL_E_FORMAT, DRL_E_SHAPE (sizes differ, more or fewer labels than images), DRL_E_UNSUPPORTED,
 * DRL_E_MEMORY, DRL_E_IO, DRL_E_ARGUMENT (desc). */
DRL_API drl_status drl_dataset_parse(drl_ctx *ctx, const drl_blob *files, int count,
                                     const drl_dataset_desc *desc, drl_dataset **out);
#ifndef DRL_NO_STDIO
DRL_API drl_status drl_dataset_load(drl_ctx *ctx, const char *const *paths, int count,
                                    const drl_dataset_desc *desc, drl_dataset **out);
#endif
DRL_API drl_status drl_dataset_copy(drl_ctx *ctx, const drl_dataset *source, drl_dataset **out);
DRL_API void       drl_dataset_destroy(drl_dataset *ds);

/* drl_dataset_image - out (height,width,channels) <- pixel / 127.5 - 1 (rounded once), or the value, of one
 * image, centred (the odd pixel goes below and right), surrounded by -1. Fails with DRL_E_SHAPE when the
 * image is larger than that.
 * drl_dataset_batch - what drl_train draws, for a loop of the program's own:
 * out [n * height * width * channels] <- n such images, drawn uniformly with repetition, one index of rng
 * each. labels [n] <- their classes; NULL: they are not needed. */
DRL_API drl_status drl_dataset_image(drl_ctx *ctx, const drl_dataset *ds, int index, int height, int width,
                                     float *out);
DRL_API drl_status drl_dataset_batch(drl_ctx *ctx, const drl_dataset *ds, drl_rng *rng, int n,
                                     int height, int width, float *out, int *labels);

/* --- vectors -----------------------------------------------------------------------------------------------
 * Rows of numbers, such as the windows of a signal or the lines of a table, normalised as networks need them:
 *   value = (number - mean) / deviation,   number = mean + deviation * value
 * A model of vectors has height 1, width 1 and `size` channels. It keeps mean and deviation in its file when
 * they are set in drl_model_desc. A program may fill in the struct itself, over memory of its own. */
typedef struct drl_vectors {
    int count, size;                        /* rows, and numbers in a row; >= 1 */
    const float *values;                    /* (count,size) */
    const double *mean, *deviation;         /* [size], in the unit of the files; deviations are above 0 */
    drl_ctx *owner;                         /* set when drl_vectors_destroy is to free it, else NULL */
} drl_vectors;

typedef enum drl_normal {
    DRL_NORMAL_COLUMNS,         /* each column has a mean and a deviation of its own */
    DRL_NORMAL_ALL,             /* all numbers have one mean and one deviation: columns of one unit */
    DRL_NORMAL_NONE             /* numbers stay as they are: mean 0, deviation 1 */
} drl_normal;

/* Zeroed or NULL: columns are normalised each by itself. */
typedef struct drl_vectors_desc {
    int size;                   /* numbers in a row, others are refused; zero: as the first file has it */
    drl_normal normal;          /* what mean and deviation are those of */
    const double *mean, *deviation; /* [size] normalise by these, which a model has kept (drl_model_describe),
                                 * not by those of the files; both or neither, and with `size` */
    int canary;                 /* leave it 0, see Descriptions in the manual */
} drl_vectors_desc;

/* drl_vectors_parse - the rows of one or several files in memory, strung together in the order given:
 *   NPY  of rank 2, any type, byte order and order of axes
 *   CSV  numbers separated by commas, a row on each line, on all lines equally many. A first line of which
 *        no part is a number is a header, and is skipped. Numbers are decimal, with or without sign, point
 *        and exponent, of at most 60 characters; spaces and tabs around them are skipped. Each is rounded to
 *        the nearest double, whatever the locale. Empty lines, quotes, "nan" and "inf" are refused
 * Deviations are square roots of the mean squared distance from the mean. A column that has one value only
 * has deviation 1. Sums are taken in the order of the rows, so that every machine has the same bits. One
 * block, of floats. Time: CSV is read four times. desc may be NULL.
 * drl_vectors_load    - the same from paths (all files are held until the block is made, beside it).
 * Fail with DRL_E_FORMAT, with the line and the column, DRL_E_SHAPE (rows of other sizes), DRL_E_NUMERIC
 * (numbers so large that they have no deviation), DRL_E_MEMORY, DRL_E_IO, DRL_E_ARGUMENT (desc).
 * drl_vectors_batch   - out [n * size] <- n rows, drawn uniformly with repetition, one index of rng each. */
DRL_API drl_status drl_vectors_parse(drl_ctx *ctx, const drl_blob *files, int count,
                                     const drl_vectors_desc *desc, drl_vectors **out);
#ifndef DRL_NO_STDIO
DRL_API drl_status drl_vectors_load(drl_ctx *ctx, const char *const *paths, int count,
                                    const drl_vectors_desc *desc, drl_vectors **out);
#endif
DRL_API void       drl_vectors_destroy(drl_vectors *v);
DRL_API drl_status drl_vectors_batch(drl_ctx *ctx, const drl_vectors *v, drl_rng *rng, int n, float *out);

/* --- whole files -------------------------------------------------------------------------------------------
 * drl_file_read  - a regular file into one block (never NULL, freed by drl_file_free with the same ctx).
 * drl_file_write - bytes under a name: into a temporary file beside it, flushed, synced, then renamed over
 * it. After a failure the old file is as it was and the temporary file is gone; after a crash at any moment
 * the name holds the old bytes or the new ones. A symbolic link is followed and the file behind it replaced
 * (Windows: the link is). A file that is replaced keeps its permissions, and its owner where the system
 * allows that, but not its access control lists or hard links. Refused are read-only files, what is not a
 * regular file (folders, devices, pipes), and what lies in /dev, /proc or /sys. Every function here that
 * writes a file works this way, from one thread per context; only a process that is killed while it writes
 * leaves its .drl-PID-N.tmp behind. Fail with DRL_E_IO, DRL_E_MEMORY. */
#ifndef DRL_NO_STDIO
DRL_API drl_status drl_file_read(drl_ctx *ctx, const char *path, void **data, size_t *size);
DRL_API void       drl_file_free(drl_ctx *ctx, void *data);
DRL_API drl_status drl_file_write(drl_ctx *ctx, const char *path, const void *data, size_t size);
#endif

/* -----------------------------------------------------------------------------------------------------------
 * [net] - a static list of operators, written in a straight line by a build function, then planned once:
 * which gradient needs which value, and where every buffer lies in one arena. Running it allocates nothing.
 * -------------------------------------------------------------------------------------------------------- */
typedef struct drl_net drl_net;

/* What an operator returns and the next one takes: images of h x w x c; each run says how many. */
typedef struct drl_value { int id, h, w, c; } drl_value;

/* Writes the network down; called several times (to count, to fill), always with the same outcome. */
typedef void (*drl_net_build_fn)(drl_net *net, void *user);

typedef enum drl_act {
    DRL_ACT_NONE = 0,
    DRL_ACT_LEAKY_RELU,         /* x > 0 ? x : 0.2 x */
    DRL_ACT_RELU,               /* x > 0 ? x : 0 */
    DRL_ACT_SILU                /* x / (1 + exp(-x)); below -40 the exponential is that of 40 */
} drl_act;

typedef enum drl_spectral {
    DRL_SPECTRAL_NONE = 0,
    DRL_SPECTRAL_UNIT,          /* W / sigma                                                     [Miyato18] */
    DRL_SPECTRAL_CAP            /* W / sigma * min(sigma, 1): only ever shrinks, for weights that start near
                                 * zero */
} drl_spectral;

typedef struct drl_layer_desc {
    const char *name;           /* of its parameters in files: "name.weight", "name.bias" */
    int out_channels;           /* >= 1 */
    int kernel;                 /* 3 or 1; zero means 3, and 1 on images of 1x1, where the other taps would
                                 * see only padding */
    int no_bias;
    drl_spectral spectral;
    float init_scale;           /* variance of the first weights, times the mean of fan-in and fan-out; 0
                                 * means 1; negative: weights and bias are all zero */
    int keep_norm;              /* nonzero, with spectral: files hold the same as PyTorch's, the weight before
                                 * the norm, "name.weight_orig", and the vectors of the power iteration,
                                 * "name.weight_u" [K] and "name.weight_v" [C*R*S] */
    int canary;                 /* leave it 0, see Descriptions in the manual */
} drl_layer_desc;

/* The images; exactly one, first. */
DRL_API drl_value drl_net_input(drl_net *net, int h, int w, int c);
/* 1 x 1 x c: sinusoidal embedding of the level values; c even. */
DRL_API drl_value drl_net_level(drl_net *net, int c);
/* 1 x 1 x (classes + 1): one for the image's label, zero for the others. */
DRL_API drl_value drl_net_label(drl_net *net, int classes);
/* A convolution; on 1x1 images a dense layer. */
DRL_API drl_value drl_net_conv2d(drl_net *net, drl_value x, const drl_layer_desc *desc);
DRL_API drl_value drl_net_act(drl_net *net, drl_value x, drl_act act);
DRL_API drl_value drl_net_avgpool2(drl_net *net, drl_value x);
DRL_API drl_value drl_net_maxpool2(drl_net *net, drl_value x);
DRL_API drl_value drl_net_upsample2(drl_net *net, drl_value x);
DRL_API drl_value drl_net_add(drl_net *net, drl_value a, drl_value b);
/* The channels of a, then those of b. */
DRL_API drl_value drl_net_concat(drl_net *net, drl_value a, drl_value b);
/* x + shift; shift is 1 x 1 x c, one per image. */
DRL_API drl_value drl_net_shift(drl_net *net, drl_value x, drl_value shift);
/* x * (1 + scale) + shift; scale_shift is 1 x 1 x 2c, one per image, scale first. */
DRL_API drl_value drl_net_scale_shift(drl_net *net, drl_value x, drl_value scale_shift);
/* x times a learned gain for each channel, ones at first. */
DRL_API drl_value drl_net_gain(drl_net *net, drl_value x, const char *name);
/* x normalised over groups of neighbouring channels (groups divide c); learned name.weight, ones at first,
 * and name.bias, zeros at first. */
DRL_API drl_value drl_net_group_norm(drl_net *net, drl_value x, const char *name, int groups, float eps);
/* h x w x c from h x w x 3c, the channels of q, k and v: attention with one head, over all pixels. */
DRL_API drl_value drl_net_attention(drl_net *net, drl_value qkv);
/* Dropout with probability p, 0 <= p < 1; see drl_batch.dropout. */
DRL_API drl_value drl_net_dropout(drl_net *net, drl_value x, float p);
DRL_API drl_value drl_net_spatial_sum(drl_net *net, drl_value x, float scale);
/* The sum over all elements of a * b, which have the same sides. The last value of the list is the output. */
DRL_API drl_value drl_net_dot(drl_net *net, drl_value a, drl_value b);

typedef enum drl_net_mode {
    DRL_NET_FORWARD = 0,        /* values only */
    DRL_NET_INPUT_GRAD,         /* and the gradient by the input: keeps one bit an element for ReLUs, nothing
                                 * for convolutions */
    DRL_NET_PARAM_GRAD          /* and the gradient by the parameters (not by the input) */
} drl_net_mode;

typedef struct drl_net_desc {
    int batch;                  /* most images a run; zero means 16 */
    int modes;                  /* sum of 1 << mode over the modes to be used; zero: 1 << DRL_NET_FORWARD */
    int canary;                 /* leave it 0, see Descriptions in the manual */
} drl_net_desc;

/* One named parameter: a slice of the flat parameter block. */
typedef struct drl_param {
    const char *name;
    int rank, shape[4];         /* conv [K,C,3,3], 1x1 [K,C,1,1], dense [K,C], vectors [C] */
    size_t offset, count;       /* floats, from drl_net_params */
} drl_param;

/* drl_net_create - build, plan, and allocate two blocks. Parameters are zero, gains and weights of norms one.
 * Fails with DRL_E_ARGUMENT, DRL_E_SHAPE (the sentence of the first operator that did not fit), DRL_E_MEMORY.
 * drl_net_size - bytes that drl_net_create will hold; uses the allocator while it counts. */
DRL_API drl_status drl_net_create(drl_ctx *ctx, drl_net_build_fn build, void *user, const drl_net_desc *desc,
                                  drl_net **net);
DRL_API drl_status drl_net_size(drl_ctx *ctx, drl_net_build_fn build, void *user, const drl_net_desc *desc,
                                size_t *bytes);
DRL_API void       drl_net_destroy(drl_net *net);

DRL_API int        drl_net_param_count(const drl_net *net);
DRL_API const drl_param *drl_net_param(const drl_net *net, int index);
/* For an optimizer of the program's own, which adds to the parameters and then calls drl_net_refresh. Blocks
 * have gaps, so that each tensor begins on a boundary: they hold more floats than there are parameters, whose
 * number is the sum of drl_param.count. */
DRL_API float     *drl_net_params(drl_net *net);                    /* all parameters in one block */
DRL_API float     *drl_net_grads(drl_net *net);                 /* their gradients; NULL without PARAM_GRAD */
DRL_API size_t     drl_net_params_size(const drl_net *net);         /* floats in each, with gaps */
DRL_API void       drl_net_init(drl_net *net, uint64_t seed);       /* random first weights */

/* drl_net_refresh - after the parameters have changed: `iterations` power iterations of every spectral norm,
 * and all weights packed again. */
DRL_API void       drl_net_refresh(drl_net *net, int iterations);

/* drl_net_load - every parameter by its name from an open file, converted to float, and for keep_norm layers
 * the vectors of the power iteration; other tensors of the file are left alone. Refreshes without a power
 * iteration: norms are u' W v. Fails with DRL_E_FORMAT (a name is missing), DRL_E_SHAPE, and then changes
 * nothing. */
DRL_API drl_status drl_net_load(drl_net *net, const drl_safetensors *st);

/* What a net is run on. */
typedef struct drl_batch {
    int n;                      /* images, 1 .. drl_net_desc.batch */
    const float *x;             /* (N,H,W,C) */
    const float *level;         /* [N] level values; NULL if the net has none */
    const int *label;           /* [N] classes 1 .. the net's, 0 meaning no class; NULL: all 0 */
    const drl_rng *dropout;     /* for drl_net_train_forward alone: what dropout draws from, by seed and
                                 * stream. Its position is the number of the first image: batches that are
                                 * parts of one draw what that one does. NULL: no dropout */
} drl_batch;
DRL_API drl_batch drl_batch_of(int n, const float *x, const float *level);             /* all else zero */

/* drl_net_forward - out [N * size of the output], values only.
 * drl_net_input_grad - the same, and dx (N,H,W,C), the gradient of sum(dout * out) by the images;
 * dout [N * size of the output].
 * Both take a few images at a time from end to end, so that they stay in the cache; threads take different
 * images, or, when there are too few of them, share each operator.
 * drl_net_train_forward - out; keeps what the gradient by the parameters needs. *batch's arrays must stay as
 * they are until drl_net_train_backward.
 * drl_net_train_backward - adds to drl_net_grads the gradient by the effective, spectrally normalised
 * weights. drl_net_spectral_grads - turns gradients by effective weights into gradients by the parameters:
 * once, after all of them have been added. */
DRL_API drl_status drl_net_forward(drl_net *net, const drl_batch *batch, float *out);
DRL_API drl_status drl_net_input_grad(drl_net *net, const drl_batch *batch, const float *dout, float *out,
                                      float *dx);
DRL_API drl_status drl_net_train_forward(drl_net *net, const drl_batch *batch, float *out);
DRL_API drl_status drl_net_train_backward(drl_net *net, const float *dout);
DRL_API void       drl_net_spectral_grads(drl_net *net);

/* -----------------------------------------------------------------------------------------------------------
 * [schedule] - how noise grows: x_t = abar_t x_0 + sbar_t eps, and in one step x_{t+1} = a_{t+1} x_t +
 * s_{t+1} eps. Plain arrays.
 * -------------------------------------------------------------------------------------------------------- */
/* The size of a Langevin step at level t. */
typedef enum drl_step_rule {
    DRL_STEP_PUBLISHED = 0,     /* step_t^2 = (sbar_t / sbar_0) b2 s_{t+1}^2, and F = f / step_t^2  [Gao21] */
    DRL_STEP_DIFFUSION,         /* step_t^2 = b2 s_{t+1}^2, and F = f / sbar_{t+1}. On all levels this is the
                                 * same share of the noise that the diffusion adds from y_t to x_{t+1}. For
                                 * hundreds of levels */
    DRL_STEP_PROPOSAL           /* step_t^2 = b2 (a_{t+1} sbar_t s_{t+1} / sbar_{t+1})^2, and F = f. On all
                                 * levels this is the same share of the variance that y_t has once x_{t+1} and
                                 * x_0 are known */
} drl_step_rule;

/* Filled by drl_schedule_of, or by a model (drl_model_schedule), never by hand: a field that is left out, or
 * that a later version adds, would have an arbitrary value. */
typedef struct drl_schedule {
    int levels;                             /* T; the energies live on levels 0..T-1 */
    const double *a, *s, *abar, *sbar;      /* [T + 1] each, a^2 + s^2 = 1, abar^2 + sbar^2 = 1 */
    double b2;                              /* of the Langevin step size, see drl_step_rule */
    /* [T + 1] l = log(abar^2 / sbar^2), of which the level value that a network sees is made:         [Zhu24]
     *   1000 atan(exp(-clamp(l, -20, 20) / 2)) / (pi/2)
     * rounded to float at every operation as in the published code. NULL: the level value is t itself. */
    const double *logsnr;
    drl_step_rule rule;
} drl_schedule;

/* The schedules that models have: those of the papers, and one between them. */
typedef enum drl_schedule_kind {
    DRL_SCHEDULE_FORM = 0,      /* the form's own */
    DRL_SCHEDULE_DRL,           /* 1000 linear betas (1e-4 .. 0.02), cut into T levels; T = 6 is       [Gao21]
                                 * "T6". b2 = 2e-4 */
    DRL_SCHEDULE_CDRL,          /* cosine in log-SNR, from l = 9.8 down to -5.1:                       [Zhu24]
                                 *   l(t/T) = -2 log tan(A t/T + B)
                                 * As in the published code l is rounded to float at every operation; the
                                 * rest follows from it in double: abar^2 = sigmoid(l). b2 = 4e-4 */
    DRL_SCHEDULE_T1K,           /* the 1000 betas in T stretches; T = 1000, one by one, is "T1k". x_T is
                                 * nothing but noise: a_T = 0. Its rule is DRL_STEP_DIFFUSION with b2 = 0.1:
                                 * steps are equally safe on all levels, and the slopes of f, sbar_{t+1}
                                 * times the score, are near 1 on all of them. With f / step_t^2 they would
                                 * go from 1e-6 to 4e-4 at b2 = 2e-4, and no network learns that */
    DRL_SCHEDULE_SHIFTED,       /* DRL_SCHEDULE_CDRL with DRL_SCHEDULE_SHIFT less log-SNR on levels 1 to T:
                                 * more levels lie where images decide what they are, and less of the image
                                 * is left in x_T. Better than DRL_SCHEDULE_CDRL from 12 levels up, worse at
                                 * 6 */
    DRL_SCHEDULE_OWN            /* drl_schedule_of makes it of drl_model_desc.sbar. b2 is the form's */
} drl_schedule_kind;
#define DRL_SCHEDULE_SHIFT 1.5

/* drl_schedule_of - a schedule of one's own, for energies without a network.
 *   sbar    [levels + 1] standard deviation of the noise at levels 0..T, growing from level to level,
 *           0 < sbar_t <= 1, copied; signals lie in about [-1, 1]
 *   levels  T, 1..1000
 *   b2      of the step size, above 0: step_t^2 = (sbar_t / sbar_0) b2 s_{t+1}^2
 *   memory  4 * (levels + 1) doubles of the caller; the schedule points into them, so they must outlive it
 * The rest follows: abar^2 = 1 - sbar^2, a_t = abar_t / abar_{t-1}, s^2 = 1 - a^2. Level values are the
 * numbers of the levels, the rule is DRL_STEP_PUBLISHED; `rule` may be set afterwards. Published steps are
 * stable while b2 sbar_{T-1} / sbar_0 is well below 2, and level 0 takes about 2 / b2 of them. With
 * DRL_STEP_PROPOSAL ten of b2 = 0.5 do. Fails with DRL_E_ARGUMENT, and then writes nothing; it has no
 * context, so look at its status. */
DRL_API drl_status drl_schedule_of(const double *sbar, int levels, double b2, double *memory,
                                   drl_schedule *schedule);
/* drl_schedule_scale - the a of y_t = a x_t: a_{t+1}, and 1 at the last level.
 * drl_schedule_step  - the step size of level t. Both return 0 where there is no such level. */
DRL_API double drl_schedule_scale(const drl_schedule *schedule, int level);
DRL_API double drl_schedule_step(const drl_schedule *schedule, int level);

/* -----------------------------------------------------------------------------------------------------------
 * [energy] - what samplers know: unnormalised log densities F(y, t) (negative energies) and their gradient. A
 * network is one of them; others are a closed-form mixture, a weighted sum of energies, and any function of
 * the user's.
 * -------------------------------------------------------------------------------------------------------- */
typedef struct drl_energy {
    /* F [n] and dF/dy [n * size] (each NULL if not wanted) of n <= batch points y at level[n], label[n]
     * (NULL: no class). Returns DRL_OK or a failure, which ends the caller's run. */
    drl_status (*eval)(void *user, int n, const float *y, const int *level, const int *label,
                       float *f, float *gradient);
    void *user;
    size_t size;                /* floats of one point */
    int batch;                  /* most points a call */
    /* Where chains start: mean [n * size] of the draw of y at level[n] that goes with x_next = x_{t+1}. The
     * sampler adds the noise a_{t+1} sbar_t s_{t+1} / sbar_{t+1} eps. With a stride it takes from the mean at
     * level u - 1, next to x_u, what the mean takes x_0 for: y given x_0 and x_u is known. NULL: chains start
     * at x_{t+1} itself. A model's returns DRL_RUNNING when the time of drl_sampler_run_until is over. A
     * function that calls it returns that, too, and is called again with the same arguments. */
    drl_status (*propose)(void *user, int n, const float *x_next, const int *level, const int *label,
                          float *mean);
} drl_energy;

/* A diagonal Gaussian mixture diffused along a schedule, in closed form: x_0 ~ sum_k weight_k N(mean_k, diag
 * variance_k), so y_t = a x_t ~ sum_k weight_k N(a abar_t mean_k, a^2 (abar_t^2 variance_k + sbar_t^2)). F is
 * normalised: log p(y_t) itself. */
typedef struct drl_mixture {
    const drl_schedule *schedule;
    size_t size;                            /* dimension */
    int components;
    const double *weight;                   /* [components], positive, sum 1 */
    const double *mean, *variance;          /* [components * size], variances >= 0 */
} drl_mixture;
/* Points at *mixture; any batch; of size 0 when something is missing. */
DRL_API drl_energy drl_mixture_energy(const drl_mixture *mixture);

/* Weighted sum of energies: guidance, composition and negation are choices of weights (and labels). Terms of
 * one energy (equal functions and user) are evaluated as one batch, as far as the energy's batch goes, every
 * point once for each term; all points have labels there, 0 where the caller has none. A proposal is the sum
 * of the terms' proposals by the same weights. Terms without a proposal are left out, so the weights of those
 * that have one should add up to 1, as in guidance and composition. */
typedef struct drl_sum_term {
    drl_energy energy;
    float weight;
    int use_label, label;       /* use_label nonzero: this term has the class `label`, whatever the caller
                                 * says */
} drl_sum_term;
typedef struct drl_sum drl_sum;
/* The sizes of all terms must agree. */
DRL_API drl_status drl_sum_create(drl_ctx *ctx, const drl_sum_term *terms, int count, drl_sum **sum);
DRL_API drl_energy drl_sum_energy(drl_sum *sum);
DRL_API void       drl_sum_destroy(drl_sum *sum);

/* -----------------------------------------------------------------------------------------------------------
 * [sample] - progressive Langevin sampling, from N(0, I) down the levels. A sampler is an object that can be
 * advanced by any number of steps, looked at, saved to bytes and restored; it knows an energy and a schedule,
 * never a network.
 * -------------------------------------------------------------------------------------------------------- */

/* A source of standard normal draws: fills out[0..n) with draw number `draw` of image number `image`. It
 * may be called from several jobs at once, and must be a pure function of its arguments. */
typedef struct drl_noise {
    void (*fill)(void *user, drl_ctx *ctx, int image, int draw, float *out, size_t n);
    void *user;
} drl_noise;

/* Where the chains of a level start: at a draw around the mean of y_t given x_{t+1} and an estimate of x_0,
 * or at x_{t+1} itself. */
typedef enum drl_proposal {
    DRL_PROPOSAL_AUTO = 0,      /* by the energy's function `propose` (a model's: its initializer). If there
                                 * is none: by the score with models of DRL_ENERGY_UNET, else none */
    DRL_PROPOSAL_NONE,          /* at x_{t+1}                                                       [Gao21] */
    DRL_PROPOSAL_SCORE          /* x_0 is estimated by the score of x = x_{t+1}, which the energy of level
                                 * t + 1 has, for one gradient more a level:
                                 *   x_0 = (x + sbar^2 a grad F(a x)) / abar,  a, abar, sbar of level t + 1
                                 * and x_0 = 0 at level T. For energies whose gradients are good denoisers
                                 * (DRL_OBJECTIVE_SCORE) */
} drl_proposal;

typedef struct drl_sample_desc {
    int count;                  /* images; zero means 1 */
    uint64_t seed;
    int first;                  /* number of the first image: image i of this call is image first + i of the
                                 * seed, alone or in any batch */
    int steps;                  /* Langevin steps a level; zero means as in training (without a model they
                                 * have to be given). Negative: none, K = 0: one draw of
                                 * N(x_{t+1} + s^2 grad F(x_{t+1}), s^2 I), for fine schedules, which counts
                                 * as one step everywhere else */
    double b2;                  /* of the steps' size, see drl_step_rule; F does not change with it. Zero
                                 * means the schedule's, but fewer steps than in training are longer, and
                                 * more are shorter: step * sqrt(K / steps). A model trained with K = 0 then
                                 * has step^2 = min(1, 6 / steps) s^2; from 6 steps on, chains forget where
                                 * they began. Energies of a U-Net take 0.8 on 12 levels, 0.3 on 48 */
    int no_chain;               /* nonzero: no Langevin step and no denoising at all, every level ends with
                                 * its proposal: what the initializer, or the score, does alone. Counts as
                                 * one step a level */
    drl_proposal proposal;      /* where chains start */
    int stride;                 /* n: sampling visits every n-th level only, those that n divides; zero means
                                 * 1, up to 1000. So one model of many levels has many prices. The energies
                                 * are exact at the levels that are visited; the way between two of them is
                                 * longer, x_u = a x_t + s eps with u = t + n, a = abar_u / abar_t,
                                 * s^2 = 1 - a^2, and each step as much longer as the noise of the proposal.
                                 * Without proposals chains begin far off then; K = 0 is refused */
    float noise_scale;          /* factor of the Langevin noise; zero means the model's (0.99 for DRL), 1
                                 * without a model */
    const int *labels;          /* [count] classes, or NULL for none */
    int from_level;             /* with `start`: begin at x_{from_level} = start, not x_T; 1..T, zero means
                                 * T */
    const float *start;         /* [count * size], copied */
    drl_noise noise;            /* zero: counter-based draws from seed */
    float guidance;             /* w, with labels: (w + 1) F(y; label) - w F(y; 0), and proposals alike; zero:
                                 * none */
    float denoise;              /* factor of the score in the denoising step at the end: zero means the
                                 * model's (2 for CDRL, none for DRL), none without a model; negative none */
    const drl_energy *energy;   /* with a model: sampled in place of its energy, for sums and the like; NULL:
                                 * the model's. Its user must outlive the sampler */
    const float *known;         /* [count * size] and mask [count * size], both or neither, copied:
                                 * inpainting. */
    const uint8_t *mask;        /* Where mask is nonzero, the image is held at `known` (finite), diffused to
                                 * the level under way by one draw (number 2^31 - 1). The upper levels know it
                                 * through noise only, so with few levels the rest is drawn somewhat towards
                                 * what is common; resample_from mends that */
    int guidance_from;          /* the weight acts on levels guidance_from <= t < guidance_to, */
    int guidance_to;            /* where zero means T. On the other levels w is 0, at half the cost. At the
                                 * noisiest levels guidance takes variety away, at the lowest it is hardly
                                 * needed [Kynkaanniemi24] */
    const int *resample_from;   /* [resample_count] levels, 1..T each, copied: further passes. When x_0 is
                                 * reached, it is diffused to x_t = abar_t x_0 + sbar_t eps, t the next of
                                 * these levels, and sampled down from there, as in SDEdit [Meng22]. The first
                                 * pass decides at noisy levels, which hardly see what is known or asked for;
                                 * further ones mend that by what the levels below made of it. For inpainting
                                 * and sums; 5 4 3 3 2 2 1 1 is good with 6 levels. Pass p has the draws of
                                 * seed + p * 0x9e3779b9, so `noise` has to be zero */
    int resample_count;         /* 0..1000; zero: one pass */
    int canary;                 /* leave it 0, see Descriptions in the manual */
} drl_sample_desc;

/* Draws that lead from one image to another: image i of `count` gets cos(w) eps_from + sin(w) eps_to with
 * w = i / (count - 1) * pi/2, for x_T and for every Langevin step. eps_from and eps_to are the draws of the
 * images `from` and `to` of `seed`, which differ. Image 0 and the last one are exactly the two ends. */
typedef struct drl_interpolation { uint64_t seed; int from, to, count; } drl_interpolation;
DRL_API drl_noise drl_interpolation_noise(drl_interpolation *interpolation);    /* points at *interpolation */

typedef struct drl_sampler drl_sampler;

/* drl_sampler_create_energy - a sampler of any energy; steps must be given. It is one block of about
 * (3 count + threads) * size floats, with guidance up to (7 count + threads) * size.
 * drl_sampler_run - advances every image by up to `steps` Langevin steps. Returns DRL_RUNNING, DRL_OK when
 * x_0 is reached, DRL_E_NUMERIC when a chain leaves the finite numbers, or what the energy returned; after a
 * failure the sampler stays as it is and cannot go on. One step is
 *   y <- y + step^2/2 * (grad F(y) - (y - x_next)/s^2) + step * noise_scale * eps               [Gao21] (9)
 * with x_next = x_{t+1}, and without the quadratic term at the last level. After K of them x_t = y / a_{t+1}.
 * Chains start where drl_proposal says: at a mean + a_{t+1} sbar_t s_{t+1} / sbar_{t+1} eps, or at
 * x_{t+1}.
 * With a stride x_next = x_u is a x_t + s eps, by a longer way (see there). Then both are taken in the units
 * of y, x_next a_{t+1} / a and s a_{t+1} / a.
 * A denoising step, if asked for, goes with the last Langevin step:
 *   x_0 = (x + denoise sbar_0^2 score(x)) / abar_0,  x = y / a_1,  score(x) = a_1 grad F(y)
 * denoise = 1 is the posterior mean; the published code of [Zhu24] has the effect of 2 (its b^2 is 2e-4
 * there, 4e-4 everywhere else).
 * Draw 0 of an image is x_T. Then each level has one draw for the proposal, if there is one, and one for
 * each step.
 * With resample_from, a pass ends with x_0, which drl_sampler_image then shows, and drl_sampler_level is the
 * level at which the next pass begins. Its first step diffuses x_0.
 * drl_sampler_run_until - runs step by step until clock(user) has reached `end` (any unit). The clock is
 * asked before every step but the first. A proposal by the score makes the first step of a level twice as
 * long. A model's initializer, which runs before that step, takes longer than one: there the clock is asked
 * after every operator, and the call may end before a step is made. The next one goes on, with the same bits.
 * This holds for the images that the initializer takes at once (drl_model_desc.batch, with guidance half of
 * it); the others' proposals are made in one piece. If the initializer has run for something else meanwhile,
 * the proposal begins anew, and is made in one piece. */
DRL_API drl_status drl_sampler_create_energy(drl_ctx *ctx, const drl_energy *energy,
                                             const drl_schedule *schedule, const drl_sample_desc *desc,
                                             drl_sampler **sampler);
DRL_API drl_status drl_sampler_run(drl_sampler *sampler, int steps);
DRL_API drl_status drl_sampler_run_until(drl_sampler *sampler, double (*clock)(void *user), void *user,
                                         double end);
DRL_API int        drl_sampler_steps_left(const drl_sampler *sampler);      /* of all passes */
DRL_API int        drl_sampler_level(const drl_sampler *sampler);           /* T-1 .. 0; -1 when done */
/* drl_sampler_image - out [size] <- image i as it is now, in the units of x_t: y / a while a level is under
 * way.
 * drl_sampler_point - out [size] <- image i as it is now, in the units of y_t, on which energies and chains
 * are defined: a x_t, with the a of the level that was run last (1 before the first step). */
DRL_API drl_status drl_sampler_image(const drl_sampler *sampler, int i, float *out);
DRL_API drl_status drl_sampler_point(const drl_sampler *sampler, int i, float *out);
DRL_API void       drl_sampler_destroy(drl_sampler *sampler);
/* drl_sampler_save - the sampler's state as bytes, see Bytes in the manual: a safetensors file of the images
 *   y and x_{t+1}, and of what the sampler was made from. It has numbers as text, so that the states of one
 *   sampler differ in size, by up to 64 bytes. Allocates nothing.
 * drl_sampler_restore - sets the state of a sampler that was made from the same description. Other bytes are
 *   refused with DRL_E_FORMAT, and nothing is changed. While it runs it holds a block for an index of the
 *   file, as drl_safetensors_open_memory does (DRL_E_MEMORY). */
DRL_API drl_status drl_sampler_save(const drl_sampler *sampler, void *dst, size_t capacity, size_t *written);
DRL_API drl_status drl_sampler_restore(drl_sampler *sampler, const void *bytes, size_t size);

/* -----------------------------------------------------------------------------------------------------------
 * [model] - the energy network with everything needed to train and to sample it, built from one description
 * and kept in one file.
 * -------------------------------------------------------------------------------------------------------- */
#define DRL_RESOLUTIONS_MAX 8

typedef enum drl_form {
    DRL_FORM_DRL = 0,           /* [Gao21]: chains start at x_{t+1} */
    DRL_FORM_CDRL               /* [Zhu24]: schedule and energy network of its own, and an initializer network
                                 * that draws where chains start */
} drl_form;

/* How the initializer's mean g of y_t = a x_t follows from its network's output, with x = x_{t+1} and
 * a = drl_schedule_scale: as in [Zhu24], or by predicting the "velocity" of level t + 1,
 *   v = abar eps - sbar x_0,  from which  x_0 = abar x - sbar v                                  [Salimans22]
 * (abar, sbar of that level), and g is the mean of y_t given both:
 *   g = a (A x_0 + B x),  A = abar_t s^2 / sbar^2,  B = a_{t+1} sbar_t^2 / sbar^2,  s of level t + 1, too.
 * Each level's small error in g adds up over the levels. The velocity's error is scaled by the noise of the
 * level; the residual's is not, and with 12 levels or more its samples drift off (grey backgrounds). */
typedef enum drl_initializer_form {
    DRL_INITIALIZER_AUTO = 0,   /* residual up to 11 levels, velocity from 12 up */
    DRL_INITIALIZER_RESIDUAL,   /* g = x + net(x)                                          [Zhu24] */
    DRL_INITIALIZER_VELOCITY    /* g = a ((A abar + B) x - A sbar net(x)) */
} drl_initializer_form;

/* What the energies are made of.
 * The published networks pool features and end in one number. Their gradient is a poor denoiser: on MNIST it
 * leaves 4 to 11 times the noise that the initializer leaves, and does not know the class. As the squared
 * length of what a U-Net makes of an image, F has a gradient that comes within 2 to 15 % of the initializer
 * (bench/RESULTS.md); and with net = 0 it is the standard normal density, which is right where noise is all
 * there is.
 * Made for DRL_OBJECTIVE_SCORE. One gradient costs about as much as three forward passes of an initializer of
 * the same width. */
typedef enum drl_energy_form {
    DRL_ENERGY_PUBLISHED = 0,   /* [Gao21], [Zhu24]: drl_model_desc.form says which of them */
    DRL_ENERGY_UNET,            /* F(y) = -|y + net(y)|^2 / 2                            [Salimans21]
                                 * (their x - net(x)) */
    DRL_ENERGY_OWN              /* F(y) is the output of the network that drl_model_desc.build makes */
} drl_energy_form;

typedef struct drl_model_desc {
    int height, width, channels;            /* of the data; height 0 means 32, width 0 means height,
                                             * channels 0 means 1. 1x1: plain vectors */
    int base;                               /* width of the network; zero means 32 (128 in the paper); even,
                                             * >= 4 */
    int blocks;                             /* residual blocks a resolution; zero means 1 (8 in the paper) */
    int resolutions;                        /* zero: by size: 1 for 1x1, 4 up to 32, 5 up to 64, 6 above */
    int mult[DRL_RESOLUTIONS_MAX];          /* width of each resolution over base; zero means 1,2,2,2 /
                                             * 1,2,2,2,4 / 1,2,2,2,4,4 */
    int levels;                             /* T, 2..500, or 1000 with T1K and own schedules; zero means 6,
                                             * 1000 with T1K */
    int steps;                              /* K, Langevin steps a level in training; zero means 30, 15 for
                                             * CDRL, none with T1K; negative: none, K = 0, see
                                             * drl_sample_desc */
    double b2;                              /* zero means 2e-4, 4e-4 for CDRL, 0.1 with T1K and
                                             * DRL_ENERGY_OWN, with DRL_ENERGY_UNET 0.8 up to 24 levels
                                             * and 0.3 above */
    float noise_scale;                      /* when sampling; zero means 0.99, 1 for CDRL and with T1K */
    int no_spectral;                        /* nonzero: weights as they are */
    int batch;                              /* most images a pass; zero means 32. Memory grows with it,
                                             * results do not depend on it */
    int trainable;                          /* nonzero: with what drl_trainer needs */
    drl_form form;
    int initializer;                        /* width of the initializer network of [Zhu24] (64 in the
                                             * paper), even, >= 4; zero means 32 with CDRL, and none with
                                             * plain DRL; negative: none, chains then start at x_{t+1}. Its
                                             * sides are multiples of 4; for plain vectors (1x1) it is not
                                             * the paper's U-Net but dense residual blocks without norms or
                                             * dropout */
    int initializer_blocks;                 /* its residual blocks a resolution; zero means 1 (3 in the
                                             * paper) */
    int classes;                            /* labels 1..classes, with CDRL; zero: unconditional */
    drl_schedule_kind schedule;             /* of noise, with the level values that go with it; zero: the
                                             * form's. b2 stays the form's, but for T1K */
    int silu;                               /* nonzero: SiLU in place of every leaky ReLU and of the head's
                                             * ReLU in the published networks, so that F has second
                                             * derivatives, which DRL_OBJECTIVE_SCORE needs */
    drl_initializer_form initializer_form;  /* zero: by the number of levels */
    drl_energy_form energy_form;            /* with CDRL. DRL_ENERGY_UNET: of width `base` (zero means 16)
                                             * and `blocks` a resolution, of which it has three; with SiLU,
                                             * without spectral norms, steps by DRL_STEP_PROPOSAL (but for
                                             * T1K), K = 3 */
    int norm_channels;                      /* of a group of the U-Nets' group norms, at least; there are at
                                             * most 32 groups. Zero means 4, but 1, as published, where a
                                             * residual initializer goes with the published energies. Groups
                                             * of one channel do not know how bright their image is: samples
                                             * get worse, and energies steep where colours are flat */
    /* A network and a schedule of the program's own. Files do not hold these three: drl_model_load takes
     * them from `use`, and after drl_checkpoint_describe the program sets them again. */
    drl_net_build_fn build;                 /* makes the energy's network; NULL: a network of the library.
                                             * The input has the sides of the images, the output is one
                                             * number, F(y, t), and labels go up to `classes`, which may
                                             * be above zero in both forms. `base`, `blocks`,
                                             * `resolutions`, `mult` and `silu` are not used; steps are by
                                             * DRL_STEP_PROPOSAL with b2 = 0.1, K = 3, by default. In
                                             * files, weights have their spectral norm folded in, but for
                                             * layers with keep_norm */
    void *build_user;                       /* what build is called with */
    const double *sbar;                     /* [levels + 1] the noise of each level, as in drl_schedule_of,
                                             * copied; NULL: `schedule` says which. Level values are then
                                             * the numbers of the levels */
    const double *mean, *deviation;         /* [height * width * channels] how the data was normalised, see
                                             * drl_vectors; copied, for drl_model_describe and the model's
                                             * file, and used by nothing else. Both, or NULL: not said.
                                             * Checkpoints do not hold them */
    int canary;                 /* leave it 0, see Descriptions in the manual */
} drl_model_desc;

typedef struct drl_model drl_model;

/* drl_model_create - a model with random first weights (seed). Fails with DRL_E_ARGUMENT, DRL_E_SHAPE (image
 * sides that the poolings do not divide), DRL_E_MEMORY.
 * drl_model_size - bytes that it will hold.
 * drl_model_describe - the description in full, defaults filled in. */
DRL_API drl_status drl_model_create(drl_ctx *ctx, const drl_model_desc *desc, uint64_t seed,
                                    drl_model **model);
DRL_API drl_status drl_model_size(drl_ctx *ctx, const drl_model_desc *desc, size_t *bytes);
DRL_API drl_status drl_model_describe(const drl_model *model, drl_model_desc *desc);
DRL_API void       drl_model_destroy(drl_model *model);
DRL_API drl_net   *drl_model_net(drl_model *model);             /* the energy's */
DRL_API drl_net   *drl_model_initializer(drl_model *model);     /* NULL if there is none */
DRL_API const drl_schedule *drl_model_schedule(const drl_model *model);
/* F(y, t) follows from the network's f(y, t) as drl_step_rule says: log p(y_t) up to a constant.   [Gao21] */
DRL_API drl_energy drl_model_energy(drl_model *model);

/* drl_model_score - how typical images x (N,H,W,C) of about [-1, 1] are:
 *   score [N] <- f at `level` t, at y = a_{t+1} abar_t x, the mean of the data's diffusion
 * label NULL: no class. Larger is more typical; drl_auroc compares two sets. The lowest level, 0, which is
 * usual, sees strokes and edges; the levels above it see what strokes make together. work [N * H * W * C]. */
DRL_API drl_status drl_model_score(drl_model *model, int level, int n, const float *x, const int *label,
                                   float *score, float *work);

DRL_API drl_status drl_sampler_create(drl_model *model, const drl_sample_desc *desc, drl_sampler **sampler);
/* drl_sample - all of it at once: pixels [count * height * width * channels], NHWC, values about [-1, 1],
 * not clamped. */
DRL_API drl_status drl_sample(drl_model *model, const drl_sample_desc *desc, float *pixels);

/* Files (.safetensors): weights by name, and the description in __metadata__ as "drl.model".
 * Plain DRL's are effective weights (spectral norm folded in), named as here. CDRL's have the names and
 * shapes of the published networks in PyTorch, norms apart, so that weights can be exchanged.
 * drl_model_save - weights of type `dtype`: DRL_DTYPE_F32 (zero) of 4 bytes each, DRL_DTYPE_F16 or
 * DRL_DTYPE_BF16 of 2. Halves are rounded to nearest, halfway to even. An F16 is within 2^-11 of the weight,
 * relative to it, and within 2^-25 where the weight is below 2^-14. A BF16 is within 2^-8, relative to the
 * weight, and within 2^-134 where it is below 2^-126. The vectors of the power iterations stay F32. Fails
 * with DRL_E_ARGUMENT (another type), DRL_E_NUMERIC (halves of a weight that is too large or not finite; the
 * sentence names its tensor).
 * Mean and deviation of the data are tensors of F64, "drl.mean" and "drl.deviation".
 * drl_model_load - takes every type. batch and trainable come from `use` (NULL: a batch of 32, not
 * trainable), all else from the file: the batch that a model was trained with says nothing of the memory that
 * sampling takes. Where the file's energy is a network of the program's own, build and build_user come from
 * `use`, too; where its schedule is, sbar does, and `use` has the file's number of levels. The file must hold
 * exactly the described networks' tensors. Memory that a model is loaded from may be read-only, and can go
 * afterwards.
 * drl_model_load_weights - weights alone, from any file that has the model's tensors among its own, and no
 * description: drl_net_load for both networks. Fails as that does. */
DRL_API drl_status drl_model_save_memory(drl_model *model, drl_dtype dtype, void *dst, size_t capacity,
                                         size_t *written);
DRL_API drl_status drl_model_load_memory(drl_ctx *ctx, const void *data, size_t size,
                                         const drl_model_desc *use, drl_model **model);
DRL_API drl_status drl_model_load_weights(drl_model *model, const drl_safetensors *st);
#ifndef DRL_NO_STDIO
DRL_API drl_status drl_model_save(drl_model *model, drl_dtype dtype, const char *path);
DRL_API drl_status drl_model_load(drl_ctx *ctx, const char *path, const drl_model_desc *use,
                                  drl_model **model);
#endif

/* -----------------------------------------------------------------------------------------------------------
 * [scorer] - drl_model_score for devices: the energy of one noise level and one class, as constant steps and
 * weights that are used where they lie, in flash. Level and class are constants then, and with them all that
 * the network computes of them alone; what is left reads the images. A program that only runs a scorer links
 * a few kB of this file, needs no context, and memory for activations alone.
 * -------------------------------------------------------------------------------------------------------- */
/* A step reads x, an image of h x w x c, and writes y. Both lie in `work`, at that float, and so does b, the
 * other operand of some; a b of -1 is the step's weights instead, which begin at float `weight`. */
typedef enum drl_scorer_code {
    DRL_SCORER_CONV = 0,        /* k outputs of side x side taps: weights are k biases, then [k][tap][c] */
    DRL_SCORER_LEAKY_RELU,
    DRL_SCORER_RELU,
    DRL_SCORER_GAIN,            /* x times weights [c] */
    DRL_SCORER_SHIFT,           /* x + b, b [c] */
    DRL_SCORER_ADD,             /* x + b, b [h][w][c] */
    DRL_SCORER_HALVE,           /* the mean of each 2 x 2 square */
    DRL_SCORER_SUM,             /* [c] over all pixels, times a scale, its one weight */
    DRL_SCORER_DOT              /* the sum of x * b over all elements, b [h][w][c] */
} drl_scorer_code;

typedef struct drl_scorer_step {
    drl_scorer_code code;
    int h, w, c;                            /* of x */
    int k, side;                            /* of DRL_SCORER_CONV: outputs; 3 or 1 */
    int x, b, y, weight;
} drl_scorer_step;

typedef struct drl_scorer {
    int height, width, channels;            /* of an image */
    float scale;                            /* the network sees scale * image */
    int steps, weights, work;               /* floats of `weight`; floats that drl_scorer_run works in */
    const drl_scorer_step *step;            /* the last one writes the score */
    const float *weight;
    drl_ctx *owner;                         /* set when drl_scorer_destroy is to free it, else NULL */
} drl_scorer;

/* drl_scorer_create - the scorer of a model's level, and of a label (0: no class), from its weights as they
 * are now. examples/13_model_to_c.c writes one as C. Networks may have convolutions, ReLUs, gains, shifts,
 * sums, mean poolings, and inner products: those of DRL_ENERGY_PUBLISHED without `silu`, and many of
 * one's own. One block. Fails with DRL_E_UNSUPPORTED (the sentence names the operator), DRL_E_ARGUMENT,
 * DRL_E_MEMORY.
 * drl_scorer_run    - score [1] <- what drl_model_score gives for one image x (H,W,C); work [scorer->work].
 * All convolutions are direct. Where the model's are, too, as on vectors and below 8 channels (the others use
 * Winograd's algorithm), the bits are those of drl_model_score on every fused set. Fails with DRL_E_ARGUMENT
 * (NULL, misaligned), and has no context to keep a sentence. */
DRL_API drl_status drl_scorer_create(drl_model *model, int level, int label, drl_scorer **scorer);
DRL_API drl_status drl_scorer_run(const drl_scorer *scorer, const float *x, float *score, float *work);
DRL_API void       drl_scorer_destroy(drl_scorer *scorer);

/* -----------------------------------------------------------------------------------------------------------
 * [train] - diffusion recovery likelihood: contrastive divergence on p(y_t | x_{t+1}) with K Langevin steps
 * from x_{t+1}.
 *   loss = mean of -(f(a x_t, t) - f(y_K, t)) * s_1 / s_{t+1}                                   [Gao21] (8)
 * or, for fine schedules, score matching.
 * Adam with warm-up, exponential average of the weights, gradient clipping, and a watch over divergence.
 * -------------------------------------------------------------------------------------------------------- */
typedef enum drl_objective {
    DRL_OBJECTIVE_AUTO = 0,     /* DRL_ENERGY_UNET: score; other energies: recovery */
    DRL_OBJECTIVE_RECOVERY,     /* recovery likelihood by contrast with chains; with K = 0 with draws of its
                                 * normal approximation */
    DRL_OBJECTIVE_SCORE         /* denoising score matching:                               [Vincent11]
                                 *   loss = mean of w_t |r|^2 / (2 size),  r = sigma grad F(x) + eps,
                                 * x having the noise sigma eps. w_t is 1, but for DRL_ENERGY_UNET 1 /
                                 * abar_t^2, at most 10: r is then the error of the velocity, as with an
                                 * initializer, and not only fine levels count, but also those that decide
                                 * what an image shows. x is where sampling looks at F: a_{t+1} x_t,
                                 * and x_{t+1} with K = 0. There are no chains: a step costs as much as two of
                                 * a chain's and the two passes. The loss's gradient is taken to first order,
                                 * as a difference of two:
                                 *   r' d(grad f)/dtheta
                                 *     = (df/dtheta (x + h r) - df/dtheta (x - h r)) / (2 h),  h = sigma / 10
                                 * The energy's network must not have a ReLU or drl_net_maxpool2, whose
                                 * gradient changes at kinks only: see drl_model_desc.silu. Without chains an
                                 * initializer learns from the data alone: initializer_data is 1 */
} drl_objective;

typedef struct drl_train_desc {
    uint64_t seed;
    int batch;                  /* images a step, of all ranks together; zero means 32, at most the model's
                                 * batch. A group of it has at most as many as the model's batch */
    float learning_rate;        /* zero means 3e-4, 5e-4 for CDRL (1e-4 in the papers, at batch 256), 2e-3 for
                                 * DRL_ENERGY_UNET */
    float beta1, beta2;         /* zero means 0.5 (0.9 for DRL_ENERGY_UNET) and 0.999, negative means 0. The
                                 * paper has 0.9 (0.5 at 64x64): with the larger rates of short
                                 * runs, that much momentum overshoots and the chains run away */
    int   warmup;               /* steps of linear warm-up; zero means 300, in a run by drl_train a tenth
                                 * of it if that is less, see there; negative none */
    float ema;                  /* decay of the averaged weights, ramped as min(ema, (1 + i) / (10 + i));
                                 * negative none. The ramp alone averages over a fixed share of the run,
                                 * however long it gets: the weight of step j grows as j^8, with a
                                 * standard deviation of 0.09 of the run [Karras24]. Zero means 0.99999,
                                 * which limits the ramp from step 900,000 on: an average in floats cannot
                                 * be much slower */
    float clip;                 /* largest norm of the gradient; zero means 1, negative none (as in the
                                 * paper; Adam hardly notices) */
    int   steps;                /* Langevin steps; zero means the model's, negative none (K = 0) */
    int   flip;                 /* nonzero: half of the images are mirrored left-right */
    int   snapshot;             /* the last good state is kept every so many steps; zero means 100, negative
                                 * never (saves memory) */
    float data_noise;           /* standard deviation of noise added to the images; zero means 0.02, none
                                 * for CDRL and T1K; negative none (as in the papers). A chain ends about
                                 * one step from where it should; where data is sharper than that, as flat
                                 * backgrounds are, the energies of level 0 are driven ever steeper and the
                                 * step overshoots ever more: this is how runs diverge */
    /* CDRL: */
    float initializer_rate;     /* the initializer's learning rate; zero means 1e-3 (1e-5 in the paper, at
                                 * batch 256) */
    float label_drop;           /* probability that an image trains without its class; zero means 0.1,
                                 * negative never */
    int   independent_noise;    /* nonzero: x_{t+1} gets a noise of its own, as in DRL; zero: that of x_t
                                 * again, which lowers the variance */
    drl_objective objective;
    float initializer_data;     /* share l of the data in what the initializer learns, see drl_trainer_step;
                                 * zero means 1, negative none: l = 0, as in [Zhu24]. There it learns from
                                 * chains alone, which in short runs know less than it could: it never sees
                                 * an image */
    /* For small sets: */
    int   shift;                /* images move by up to so many pixels, each of -shift..shift equally
                                 * often down and to the right; below height and width. The pixels at the
                                 * edge are repeated into the gap: what is flat there, as backgrounds and
                                 * transparency are, stays so. A gap of one colour would be learned as a
                                 * frame, pixels from the opposite edge as a seam */
    int   palette;              /* nonzero: the three colour channels of an image change places, each of
                                 * the six orders equally often. For 3 channels, or 4, of which the last
                                 * is alpha and stays. Grey stays grey, and colour 0 under alpha 0 stays
                                 * 0. Not for sets where a class is a colour */
    /* For several processes, see drl_trainer_step. Checkpoints hold `groups`, but not the other four: */
    int   groups;               /* parts of equal size in which the batch is worked on, one after the
                                 * other; a power of two that divides the batch. Zero means `ranks` */
    int   ranks;                /* processes that train together; a power of two, at most `groups`. Zero
                                 * means 1 */
    int   rank;                 /* which of them this one is, 0..ranks - 1 */
    /* sum [count] <- its sum over all ranks: branches of `groups`' binary tree, (0 + 1) + (2 + 3) for four
     * ranks, the same bits for each. Every rank calls it equally often, with the same counts. Returns DRL_OK
     * or a failure, with which step and run end. One that fails on some ranks has to fail on the others at
     * their next call, at the latest. Needed when there are several ranks, and called only then */
    drl_status (*reduce)(void *user, float *sum, size_t count);
    void *reduce_user;          /* its first argument */
    int canary;                 /* leave it 0, see Descriptions in the manual */
} drl_train_desc;

/* Running averages over the level's last 50 images or so.
 * The noise that a network leaves: from x = abar x_0 + sigma eps (sigma is sbar, and the data noise if there
 * is any) follows an estimate eps_hat of eps, and the mean of (eps_hat - eps)^2 over the pixels is left.
 * eps_hat = 0 leaves 1; the best estimate, the mean of eps given x, leaves more than 0. Compare figures of
 * one level and one data set. */
typedef struct drl_level_report {
    double f_pos, f_neg;        /* mean f of data and of chain ends */
    double gradient;            /* root mean square of step^2/2 * dF/dy at the chain's end over the step's
                                 * noise: 1 means as large as the noise */
    double displacement;        /* root mean square move of a pixel over the chain, units of s_{t+1}; with
                                 * DRL_OBJECTIVE_SCORE of the residual r: it is 1 where nothing is known,
                                 * and `gradient` is 0 */
    double images;              /* number of images of this level so far */
    double noise_left;          /* by the energy of this level, eps_hat = -sigma a grad F(a x_t, t),
                                 * a = drl_schedule_scale; with DRL_OBJECTIVE_SCORE the mean of r^2. Recovery
                                 * likelihood does not need this gradient: it is computed for one image in
                                 * 16, which is 0.3 % of a step with K = 3, and averaged over the last 20 of
                                 * them or so. Zero: none yet */
    double initializer_noise_left;  /* by the initializer's mean g of y_t given x_{t+1}, of that one's noise:
                                 * the mean of (g - m)^2 (abar_{t+1} / (a A sigma_{t+1}))^2, with A and the
                                 * data's target m of drl_trainer_step, and with dropout. Compare it with
                                 * noise_left of level t + 1, where the energy sees the same noise. Zero
                                 * without an initializer */
} drl_level_report;

typedef struct drl_train_report {
    uint64_t step;              /* steps done */
    double loss, grad_norm;     /* of this step, before clipping */
    double initializer_loss, initializer_grad_norm;     /* zero without an initializer */
    double learning_rate, initializer_rate;             /* the latter is zero without an initializer */
    int rollbacks;
    int levels;
    const drl_level_report *level;          /* [levels], owned by the trainer */
    /* of a run by drl_train: */
    uint64_t total;             /* steps at which it ends; zero while a run by time has not settled it */
    double seconds;             /* spent on steps so far, by the run's clock */
    const char *diverged;       /* NULL, or the sentence of a divergence from which the run is about to go
                                 * back */
} drl_train_report;

typedef struct drl_trainer drl_trainer;

#define DRL_ROLLBACKS_MAX 16            /* to one state; the learning rate is then 2^-16 of what led there */

DRL_API drl_status drl_trainer_create(drl_model *model, const drl_train_desc *desc, drl_trainer **trainer);
DRL_API drl_status drl_trainer_size(drl_model *model, const drl_train_desc *desc, size_t *bytes);
DRL_API void       drl_trainer_destroy(drl_trainer *trainer);

/* drl_trainer_step - one step on `batch` images x0 (N,H,W,C) in [-1, 1] with labels [N] (1..classes, 0 for
 * none; NULL: all 0). With an initializer chains start at y_0 = g(x_{t+1}) + noise, and it learns from where
 * they end and from the data, minimising, with A and B as at drl_initializer_form,
 *   |g - ((1 - l) (y_K - noise) + l a (A x_0 + B x_{t+1}))|^2                             l = 0 in [Zhu24]
 * over (a A sbar_{t+1})^2 for DRL_INITIALIZER_VELOCITY, which is the squared error of the velocity. Where
 * energies are right, both targets have the same mean, and l changes nothing. Then both networks are clipped,
 * updated and averaged, each by itself. Fails with DRL_E_ARGUMENT (labels), DRL_E_NUMERIC (NaN or infinite
 * pixels), DRL_E_DIVERGED (energies, gradient or chain not finite or exploding); the weights are then those
 * before the step.
 * drl_trainer_rollback - back to the last good state (drl_trainer_set_rate's factor included; but for the
 * total and the warm-up of drl_train), with half the learning rate and fresh noise. A state from which
 * DRL_ROLLBACKS_MAX of them have not helped is bad itself: the next one fails with DRL_E_DIVERGED and changes
 * nothing. Then resume an older checkpoint, or start again with another description; a loop of steps and
 * rollbacks therefore ends. drl_train rolls back by itself.
 *
 * Several processes, which MPI calls ranks, train one model (examples/12_mpi.c). All make it from the same
 * seed, or resume the same checkpoint, and call the same functions in the same order, with descriptions that
 * differ in `rank` alone. x0 and labels are then the batch / ranks images of this rank, which come after
 * those of lower ranks.
 *   A group of batch / groups images goes through the step as a batch of its own. The groups' gradients are
 * added in pairs, these in pairs, and so on; a rank has a branch of this tree, and `reduce` adds the
 * branches. Noise and other draws belong to an image's number in the whole batch. So weights, reports and
 * checkpoints depend on `groups`, but not on `ranks`, to the bit, and a run can go on with other ranks. Any
 * rank can save: all of them hold the same. Other groups change how gradients are rounded, nothing else.
 *   Each decision is made once, from what all ranks have seen. A rank's failure, bad images among them, ends
 * the step of all ranks with its status, and they diverge and go back together. Ranks that differ in their
 * descriptions, step or weights fail with DRL_E_ARGUMENT.
 *   Memory: gradients take log2(groups / ranks) more blocks of all parameters; activations and images are
 * those of one group. Time: a group has the threads to itself, so it should have as many images as there are
 * threads, at least. With several ranks a step calls `reduce` for 8 ranks + 36 batch floats, for one float
 * per parameter of each network, and in drl_train twice for 4 ranks floats. */
DRL_API drl_status drl_trainer_step(drl_trainer *trainer, const float *x0, const int *labels,
                                    drl_train_report *report);
DRL_API drl_status drl_trainer_rollback(drl_trainer *trainer);
DRL_API uint64_t   drl_trainer_steps(const drl_trainer *trainer);
/* From the next step on, the learning rate is `factor` (0..1) times that of the description. A falling rate
 * makes much better samples at the end than a constant one. drl_train sets it by itself. */
DRL_API drl_status drl_trainer_set_rate(drl_trainer *trainer, double factor);

/* drl_trainer_swap_average - exchange the model's weights with their average, to sample or save with the
 * better ones; call again to go back before the next step (a step in between fails). Power iterations are
 * run for the average and do not touch the training ones. */
DRL_API drl_status drl_trainer_swap_average(drl_trainer *trainer);

/* drl_train - the training loop: images of a data set, a falling learning rate, rollbacks, and a callback
 * that looks at it and can stop it.
 *
 * How long. Either `steps` or `seconds` says how long the whole run is, including the part that the trainer
 * has behind it. With neither, a resumed run goes on to the end that it had when it was saved. Other steps or
 * seconds than before give the run a new total by the same rules: more of them let it go on, at the rate that
 * the new total asks for. Only steps count as time spent, not what on_step does.
 *
 * The learning rate's factor is a function of two numbers that checkpoints hold: the step and the total of
 * steps. A run by `steps` knows its total from the start. In a run by `seconds` the rate is constant until it
 * is time for it to fall, by default when half of the seconds are over. The total is then settled, once, as
 * step * seconds / seconds spent, and the run ends at this step: the second half takes as long as the first
 * if the machine keeps its speed, and nothing depends on the clock any more. A run that is stopped, saved and
 * resumed with the same description therefore continues bit for bit once its total is settled. Before that
 * its weights continue bit for bit, too, and the clock says where it ends.
 * A warm-up of zero in drl_train_desc is a tenth of the total, at most 300 steps. In a run by `seconds` the
 * speed of the first 10 steps decides, once, and checkpoints hold that, too.
 *
 * After a divergence the run goes back to the last good state, steps and seconds included, and keeps the
 * total. Returns DRL_OK when the total is reached (at once, if it already is), DRL_RUNNING when on_step asked
 * to stop, or the failure: DRL_E_DIVERGED when `rollbacks` are used up, else what drl_trainer_step or the
 * source of images returned. Holds one batch of images while it runs; if `balanced`, also an int for each
 * image of the data set.
 * With several ranks (drl_trainer_step) each has the whole data set, or other images of the same kind if bits
 * need not agree with those of one rank, and a clock, of which the first rank's counts. A rank whose on_step
 * asks to stop stops all of them after this step. */
typedef struct drl_run_desc {
    uint64_t steps;             /* of the whole run */
    double seconds;             /* or its time, with a clock */
    double (*clock)(void *user);            /* seconds since some moment; NULL: no time is measured */
    double fall;                /* share of the run, at its end, over which the learning rate falls to zero;
                                 * at most 1, with `seconds` 0.9. Zero means 0.5, negative: it does not
                                 * fall */
    int rollbacks;              /* at most, over the whole run; zero means 5, negative none */
    /* In place of a data set: n images (H,W,C) in [-1, 1] and labels (1..classes, 0 for none; NULL for a
     * model without classes), as a function of rng. Called once for each group of the rank, with n images
     * of it and random numbers of its own. */
    drl_status (*source)(void *user, drl_ctx *ctx, drl_rng *rng, int n, float *x0, int *labels);
    /* After every step, and with report->diverged before going back. It may draw samples and save. Nonzero
     * stops the run. NULL: none. */
    int (*on_step)(void *user, const drl_train_report *report);
    void *user;                 /* of all three */
    int balanced;               /* nonzero: an image's class is drawn first, each of those that the data
                                 * set has equally often, then one of its images; zero: every image
                                 * equally often. Needs labels, but not a model with classes */
    int canary;                 /* leave it 0, see Descriptions in the manual */
} drl_run_desc;
/* data: its labels are used if the model has classes. NULL with a source. */
DRL_API drl_status drl_train(drl_trainer *trainer, const drl_dataset *data, const drl_run_desc *desc);

/* A checkpoint, a file or memory, holds weights, averages, optimizer, power iterations, counters (the total
 * and the time of a run by drl_train among them) and both descriptions. A resumed run continues bit for bit,
 * if the trainer was made from the description in the checkpoint (drl_checkpoint_describe) and is given the
 * same images. (After a resume, the last good state for rollbacks is the checkpoint.)
 * drl_trainer_resume - fails with DRL_E_SHAPE when the checkpoint belongs to another model, with DRL_E_FORMAT
 * on numbers that no run can have come to: not finite, or counters and factors out of range. It changes
 * nothing then.
 * drl_checkpoint_describe - reads both descriptions. They are what the checkpoint says: a stranger's can ask
 * for any amount of memory, so look at drl_model_size before drl_model_create. */
DRL_API drl_status drl_trainer_save_memory(drl_trainer *trainer, void *dst, size_t capacity, size_t *written);
DRL_API drl_status drl_trainer_resume_memory(drl_trainer *trainer, const void *data, size_t size);
DRL_API drl_status drl_checkpoint_describe_memory(drl_ctx *ctx, const void *data, size_t size,
                                                  drl_model_desc *model, drl_train_desc *train);
#ifndef DRL_NO_STDIO
DRL_API drl_status drl_trainer_save(drl_trainer *trainer, const char *path);
DRL_API drl_status drl_trainer_resume(drl_trainer *trainer, const char *path);
DRL_API drl_status drl_checkpoint_describe(drl_ctx *ctx, const char *path,
                                           drl_model_desc *model, drl_train_desc *train);
#endif

/* -----------------------------------------------------------------------------------------------------------
 * Research tools: nothing in [config] to [train] uses what follows.
 *
 * [mcmc] - Markov chains on one level of an energy, how exact averages over them are, and the constant Z that
 * makes exp(F) / Z a density. All points here are y_t = a x_t, on which energies are defined: divide by
 * drl_schedule_scale's a to look at them. A level has two densities: the marginal one of all points with the
 * noise of the level, and the conditional one of the points from which x_{t+1} may have come:
 *   marginal       log p(y_t) = F(y_t, t) - log Z
 *   conditional    log p(y_t | x_{t+1}) = F(y_t, t) - |y_t - x_{t+1}|^2 / (2 s_{t+1}^2) + const   [Gao21] (6)
 * The conditional is what training sees and sampling walks down; it has few modes. The marginal has all of
 * them, and a chain may need very long to get from one to the next: start several chains from samples, and
 * look at what drl_mcmc_diagnose says. The last level has no x_{t+1}, and its marginal alone.
 * -------------------------------------------------------------------------------------------------------- */
typedef enum drl_mcmc_kernel {
    DRL_MCMC_LANGEVIN = 0,      /* y + eps^2/2 grad + eps noise, always taken, as in sampling: its density
                                 * is off by what the step size makes it */
    DRL_MCMC_MALA,              /* the same step, taken or refused so that the density is exact [Roberts98] */
    DRL_MCMC_HMC                /* `leapfrog` steps with one momentum, taken or refused together   [Neal11] */
} drl_mcmc_kernel;

typedef struct drl_mcmc_desc {
    int count;                  /* chains; zero means 1 */
    uint64_t seed;              /* image i of a sampler with this seed has the draws of chain i: chains that
                                 * start at samples need a `first` above them */
    int first;                  /* number of the first chain: apart from warm-up, chain i of this call is
                                 * chain first + i of the seed */
    drl_mcmc_kernel kernel;
    int level;
    const int *labels;          /* [count] classes, or NULL for none */
    const drl_schedule *schedule;   /* of the level: its step size and s; NULL: `step` is given, and there
                                     * is no x_next */
    const float *start;         /* [count * size] points y, copied; NULL: draws of N(0, I) */
    const float *x_next;        /* [count * size] x_{t+1}, copied: chains of the conditional; NULL: of the
                                 * marginal */
    double step;                /* eps, unit of y; zero means drl_schedule_step. With a warm-up, where it
                                 * begins */
    double noise_scale;         /* Langevin only: factor of the noise; zero means 1 */
    int leapfrog;               /* HMC only: steps a proposal; zero means 10 */
    int warmup;                 /* MALA and HMC: the first so many steps choose eps, which is fixed from
                                 * then on */
    double accept;              /* the acceptance to be chosen, 0..1; zero means 0.574 for MALA [Roberts98],
                                 * 0.8 for HMC */
    int canary;                 /* leave it 0, see Descriptions in the manual */
} drl_mcmc_desc;

typedef struct drl_mcmc_report {
    int step;                   /* steps done, warm-up included */
    double step_size;           /* eps */
    double accept;              /* mean probability of acceptance, since warm-up if that is over; 0 before
                                 * the first; 1 for Langevin */
    uint64_t divergent;         /* proposals since warm-up that left the finite numbers or lost more than
                                 * 1000 nats: the step is too large there */
    double f;                   /* mean F over the chains, now */
    const float *point;         /* [count * size] the chains' points y, owned by the chains: valid until
                                 * they run or are destroyed */
    const float *value;         /* [count] F there, likewise */
} drl_mcmc_report;

typedef struct drl_mcmc drl_mcmc;

/* drl_mcmc_create - chains of any energy. One block of about 5 count * size floats, 6 with x_next. Fails with
 * DRL_E_ARGUMENT, DRL_E_MEMORY, DRL_E_NUMERIC (a start, or F there, is not finite), or what the energy
 * returned.
 * drl_mcmc_run - `steps` steps of every chain, at most 2^31 - 2 in all: DRL_OK, or what the energy returned,
 * or for Langevin DRL_E_NUMERIC when a chain leaves the finite numbers; the chains are then as they were
 * before the step that failed. Allocates nothing; a step evaluates every chain's energy once, `leapfrog`
 * times for HMC. With L(y) the log density, one step from y, p ~ N(0, I), is `leapfrog` times
 *   p <- p + eps/2 grad L(y),  y <- y + eps p,  p <- p + eps/2 grad L(y)                             [Neal11]
 * taken with probability min(1, exp(L(y') - |p'|^2/2 - L(y) + |p|^2/2)); MALA is the case of one leapfrog.
 * HMC has eps times a uniform draw of [0.8, 1.2) for every chain and step, so that no orbit closes. Warm-up
 * is dual averaging over all chains' acceptance ([Hoffman14], 3.2: gamma 0.05, t0 10, kappa 0.75).
 * Chain c at step k draws from { seed, c << 32 | k }: p, then, from the next index that is a multiple of 4,
 * the uniforms of acceptance and of eps. F is a float: differences below |F| * 1e-7 are lost, and acceptance
 * with them. */
DRL_API drl_status drl_mcmc_create(drl_ctx *ctx, const drl_energy *energy, const drl_mcmc_desc *desc,
                                   drl_mcmc **mcmc);
DRL_API drl_status drl_mcmc_run(drl_mcmc *mcmc, int steps);
DRL_API drl_status drl_mcmc_look(const drl_mcmc *mcmc, drl_mcmc_report *report);
DRL_API void       drl_mcmc_destroy(drl_mcmc *mcmc);
/* drl_mcmc_save - the chains' state as bytes, see Bytes in the manual: a safetensors file of the points y,
 *   and of what the chains were made from. Their states differ in size by up to 128 bytes. Allocates nothing.
 * drl_mcmc_restore - sets the state of chains that were made from the same description; the run goes on bit
 *   for bit. It evaluates the energy once. Other bytes, or numbers that are not finite, are refused with
 *   DRL_E_FORMAT, and nothing is changed. It holds a block meanwhile, as drl_sampler_restore does. */
DRL_API drl_status drl_mcmc_save(const drl_mcmc *mcmc, void *dst, size_t capacity, size_t *written);
DRL_API drl_status drl_mcmc_restore(drl_mcmc *mcmc, const void *bytes, size_t size);

typedef struct drl_diagnosis {
    double mean, sd;            /* over all chains and draws */
    double ess;                 /* effective sample size: independent draws that know the mean as well. At
                                 * most n log10(n) of n draws */
    double error;               /* of the mean, standard: sd / sqrt(ess) */
    double rhat;                /* split R-hat: 1 when halves of chains agree, above 1.01 they have not
                                 * mixed; infinite when none moves */
} drl_diagnosis;

/* drl_mcmc_diagnose - how exact the mean of a trace is, of one number (a coordinate, its square, F):
 * x [draws * chains], a row for each step. Every chain is cut in two, so that drift is seen too; draws >= 8.
 * ESS by Geyer's initial monotone sequence of autocorrelations, which are those of the chains together
 * [Geyer92] [Vehtari21]. Time O(draws chains) for every lag that counts; thin what is long and mixes badly.
 * No memory. Fails with DRL_E_ARGUMENT, DRL_E_NUMERIC (not finite, or all numbers are equal). */
DRL_API drl_status drl_mcmc_diagnose(drl_ctx *ctx, const double *x, int draws, int chains,
                                     drl_diagnosis *diagnosis);

typedef struct drl_ais_desc {
    int count;                  /* chains, each of one weight; zero means 16 */
    uint64_t seed;              /* with `start`, one that its points were not drawn with */
    int level;
    const int *labels;          /* [count] classes, or NULL for none. One class for all, if log Z is to be
                                 * that class's */
    int steps;                  /* K, temperatures; zero means 1000; at least 2 */
    const double *beta;         /* [steps + 1], from 0 to 1, rising; NULL: sigmoid(4 (2 k / K - 1)),
                                 * stretched to [0, 1], slow at both ends */
    int moves;                  /* HMC steps at a temperature; zero means 1 */
    int leapfrog;               /* zero means 10 */
    double accept;              /* acceptance that the pilot aims at; zero means 0.8 */
    double step;                /* eps at all temperatures, and no pilot; zero: the pilot chooses one for
                                 * each */
    int pilot;                  /* chains of the pilot, which cost extra; zero means a quarter, at least 4;
                                 * at most `count` */
    const float *mean, *variance;   /* [size] of the Gaussian at beta = 0; NULL: 0, 1 */
    const float *fit;           /* [fit_count * size] instead of these: points, samples say, whose mean and
                                 * variance it shall have */
    int fit_count;              /* at least 2 */
    const float *start;         /* [count * size] reverse: from these exact samples of exp(F) / Z up to the
                                 * Gaussian */
    int canary;                 /* leave it 0, see Descriptions in the manual */
} drl_ais_desc;

typedef struct drl_ais_result {
    double log_z;               /* nats; forward: log of the mean weight; reverse: minus that */
    double error;               /* standard, over chains, by the delta method: sd(w) / (mean(w)
                                 * sqrt(count)). Too small when ess is below 5 or so */
    double ess;                 /* (sum w)^2 / sum w^2: the number of equally weighted chains,
                                 * of `count`, that would give an average as exact */
    double accept;              /* mean acceptance of the moves; 1 before the first */
    const double *log_weight;   /* [count] log w, for error bars of one's own; owned by the path, valid
                                 * until it runs or is destroyed */
} drl_ais_result;

typedef struct drl_ais drl_ais;

/* drl_ais_create - annealed importance sampling of log Z(t), the log of the integral of exp(F(y, t)) over y:
 *   L_k(y) = (1 - beta_k) log N(y; mean, variance) + beta_k F(y),   beta_0 = 0, beta_K = 1           [Neal01]
 *   log w = sum over k = 1..K of (beta_k - beta_{k-1}) (F(y_{k-1}) - log N(y_{k-1})),
 *   y_0 ~ N,  y_k from y_{k-1} by `moves` HMC steps on L_k
 * E w = Z, so that log_z is below log Z on average, ever less with more temperatures. With `start` the same
 * path the other way, from samples of exp(F) / Z: E w = 1 / Z, and log_z is above [Grosse15]. Both together
 * bracket log Z, as far as the samples are exact (a long HMC run, or a known model) and the chains reach all
 * modes. The step sizes come from a pilot run with draws of its own, or the bounds would not hold. Two blocks
 * of memory, about 5 count * size floats and steps * 16 bytes. Fails as drl_mcmc_create.
 * drl_ais_run - up to `steps` temperatures, the pilot's counted too: DRL_RUNNING, DRL_OK when done, or what
 * the energy returned; it can be called again then. drl_ais_steps_left counts them.
 * drl_ais_look - the result, of the path as far as it went: final when none is left. */
DRL_API drl_status drl_ais_create(drl_ctx *ctx, const drl_energy *energy, const drl_ais_desc *desc,
                                  drl_ais **ais);
DRL_API drl_status drl_ais_run(drl_ais *ais, int steps);
DRL_API int        drl_ais_steps_left(const drl_ais *ais);
DRL_API drl_status drl_ais_look(const drl_ais *ais, drl_ais_result *result);
DRL_API void       drl_ais_destroy(drl_ais *ais);

/* drl_log_likelihood - in nats, of n points x (units of x_t, with the noise of the level):
 *   log p(x_t) = F(a x_t, t) + size log a - log_z,  a that of the schedule's level
 * log_p [n], work [min(n, 64) * size + n]. For images x_0 give abar_t x_0 + sbar_t eps: what is learned is
 * the density of those. With K = 0 it is that of y = x_{t+1}: give abar_t x_0 + sbar_{t+1} / a eps.
 * drl_bits_per_dim - the same in bits a dimension of data u = scale * x + const:
 *   (log(scale) - log_p / size) / log 2
 * Bytes u of 0..255 that became x_0 = u / 127.5 - 1, then x_t: scale = 127.5 / abar_t, and u has the noise
 * 127.5 sbar_t / abar_t. NaN for size 0 or scale not above 0. */
DRL_API drl_status drl_log_likelihood(drl_ctx *ctx, const drl_energy *energy, const drl_schedule *schedule,
                                      int level, const int *labels, int n, const float *x, double log_z,
                                      double *log_p, float *work);
DRL_API double     drl_bits_per_dim(double log_p, size_t size, double scale);

/* In the plane integrals are sums over a grid: nx * ny cells of [x0, x1] x [y0, y1]. Point (i, j), number
 * j * nx + i, is the middle of a cell. */
typedef struct drl_grid { double x0, x1, y0, y1; int nx, ny; } drl_grid;

/* drl_grid_evaluate - f [nx * ny] <- F at the grid's points y, of an energy of size 2; label 0: no class. f
 * is undefined when the energy fails.
 * drl_grid_log_z - log of the integral of exp(factor * F) by the midpoint rule; factor 1 / tau is temperature
 * tau. What lies outside is not counted.
 * drl_grid_kl - KL(p || q) in nats, q = exp(F) / Z and p [nx * ny] any density on the same points, both made
 * to sum to 1 there: the extra nats that data of density p costs under the model. A factor of p does not
 * matter, nor whether it is meant by y or by x. */
DRL_API drl_status drl_grid_evaluate(drl_ctx *ctx, const drl_energy *energy, int level, int label,
                                     const drl_grid *grid, double *f);
DRL_API drl_status drl_grid_log_z(drl_ctx *ctx, const drl_grid *grid, const double *f, double factor,
                                  double *log_z);
DRL_API drl_status drl_grid_kl(drl_ctx *ctx, const drl_grid *grid, const double *p, const double *f,
                               double *kl);

/* -----------------------------------------------------------------------------------------------------------
 * [metrics] - how good are samples.
 * -------------------------------------------------------------------------------------------------------- */
/* drl_frechet - Frechet distance of two sets of feature vectors, with S over n - 1:
 *   |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2))                                                    [Heusel17]
 * a [na * dim], b [nb * dim]; work: 5 * dim * dim + 4 * dim doubles. Time O((na + nb) dim^2 + dim^3). */
DRL_API drl_status drl_frechet(drl_ctx *ctx, const float *a, int na, const float *b, int nb, int dim,
                               double *work, double *distance);
/* drl_auroc - the probability that a number of a [na] is larger than one of b [nb], equal ones counting
 * half: the area under the receiver operating characteristic of telling a from b. Time O(na nb). Fails with
 * DRL_E_NUMERIC on NaN. */
DRL_API drl_status drl_auroc(drl_ctx *ctx, const float *a, int na, const float *b, int nb, double *area);
/* drl_inception_score - of n images; p [n * classes], rows of sum 1:
 *   exp of the mean of KL(p(class | image) || p(class))                                       [Salimans16] */
DRL_API drl_status drl_inception_score(drl_ctx *ctx, const float *p, int n, int classes, double *score);

#ifdef __cplusplus
}
#endif
#endif /* DRL_H */

/* ===========================================================================================================
 * Readers of the interface can stop here. What follows is the implementation.
 * ======================================================================================================== */
#if defined(DRL_IMPLEMENTATION) && !defined(DRL_LINKED) && !defined(DRL__IMPLEMENTED)
#define DRL__IMPLEMENTED

/* -----------------------------------------------------------------------------------------------------------
 * [platform] - compiler and operating system. Beside this section only [dispatch], the thread pool and file
 * access have conditional code.
 * -------------------------------------------------------------------------------------------------------- */
#include <math.h>
#include <stdarg.h>
#include <string.h>
#ifndef DRL_NO_MALLOC
#include <stdlib.h>
#endif

#ifndef DRL_ASSERT
#include <assert.h>
#define DRL_ASSERT(condition) assert(condition)
#endif

/* Results repeat to the bit only if no compiler fuses a product into a sum on its own: every fused
 * multiply-add is written as one. The kernels leave nothing to fuse; these pragmas protect the scalar code in
 * double. They also take back -ffast-math, under which comparisons would no longer notice a NaN. */
#if defined(__clang__)
#if __clang_major__ >= 14 && \
    (defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__ > 0))
#define DRL__CLANG_FAST 1
#pragma float_control(push)
#pragma float_control(precise, on)
#endif
#pragma clang fp contract(off)
#elif defined(__GNUC__)
#pragma GCC push_options
#if defined(__OPTIMIZE__) && !defined(__OPTIMIZE_SIZE__)
#pragma GCC optimize("O1")      /* [simd], where the time goes, says O2; the rest compiles twice as fast */
#endif
#pragma GCC optimize("no-fast-math", "fp-contract=off")
#if defined(__i386__) && defined(__SSE2__)
#pragma GCC target("fpmath=sse")            /* x87 registers keep digits that no other machine has */
#endif
#elif defined(_MSC_VER)
#pragma fp_contract(off)
#endif

/* The floating-point mode of the calling thread: rounding, treatment of denormal numbers, and which
 * exceptions trap. The library promises its bits for rounding to nearest, denormals kept, and no traps. Every
 * public function that computes, and every job, therefore sets this mode and restores what it found,
 * exception flags included. If the mode is set already, as nearly always, nothing is written on the way in.
 * Without SSE, ARM's registers or <fenv.h> nothing is done, and the caller's mode is used.
 *
 * DRL__CALL takes the place of the first line of a public function and makes two functions: the body, and the
 * public one, which sets the mode around it. The body is called through a volatile pointer: otherwise a
 * compiler that sees that the body only computes could compute before the mode is set. */
#if defined(__SSE2__) || defined(_M_X64) || (defined(_M_IX86_FP) && _M_IX86_FP >= 1)
#include <xmmintrin.h>
#if defined(__i386__) && defined(__GNUC__)      /* libm and results pass through x87 registers here */
#define DRL__X87 1
#endif
typedef struct drl__mode {
    unsigned csr;
#ifdef DRL__X87
    uint32_t x87[7];
#endif
} drl__mode;
static drl__mode drl__enter(void)
{
    drl__mode found;
    found.csr = _mm_getcsr();
    /* Bits 6 to 15: DAZ, six exception masks, rounding, FTZ. The flags are the bits below. */
    if ((found.csr & 0xFFC0u) != 0x1F80u) _mm_setcsr(0x1F80u);
#ifdef DRL__X87
    {
        const uint16_t plain = 0x037F;
        __asm__ __volatile__("fnstenv %0" : "=m"(found.x87) : : "memory");
        __asm__ __volatile__("fldcw %0" : : "m"(plain) : "memory");
    }
#endif
    return found;
}
static void drl__leave(const drl__mode *found)
{
    if (_mm_getcsr() != found->csr) _mm_setcsr(found->csr);
#ifdef DRL__X87
    /* The clobber list says that the register stack is empty, which fldenv needs. */
    __asm__ __volatile__("fldenv %0" : : "m"(found->x87)
                         : "memory", "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)");
#endif
}
#elif defined(__aarch64__) && defined(__GNUC__)
typedef struct drl__mode { uint64_t control, flags; } drl__mode;
static drl__mode drl__enter(void)
{
    drl__mode found;
    const uint64_t plain = 0;
    __asm__ __volatile__("mrs %0, fpcr" : "=r"(found.control) : : "memory");
    __asm__ __volatile__("mrs %0, fpsr" : "=r"(found.flags) : : "memory");
    if (found.control) __asm__ __volatile__("msr fpcr, %0" : : "r"(plain) : "memory");
    return found;
}
static void drl__leave(const drl__mode *found)
{
    __asm__ __volatile__("msr fpsr, %0" : : "r"(found->flags) : "memory");
    if (found->control) __asm__ __volatile__("msr fpcr, %0" : : "r"(found->control) : "memory");
}
#elif defined(_M_ARM64)
#include <intrin.h>
typedef struct drl__mode { __int64 control, flags; } drl__mode;
static drl__mode drl__enter(void)
{
    drl__mode found;
    found.control = _ReadStatusReg(ARM64_FPCR);
    found.flags = _ReadStatusReg(ARM64_FPSR);
    if (found.control) _WriteStatusReg(ARM64_FPCR, 0);
    return found;
}
static void drl__leave(const drl__mode *found)
{
    _WriteStatusReg(ARM64_FPSR, found->flags);
    if (found->control) _WriteStatusReg(ARM64_FPCR, found->control);
}
#elif defined(__arm__) && defined(__GNUC__) && defined(__ARM_FP) && !defined(__SOFTFP__) && \
    (!defined(__thumb__) || defined(__thumb2__))
typedef struct drl__mode { uint32_t csr; } drl__mode;
static drl__mode drl__enter(void)
{
    drl__mode found;
    const uint32_t plain = 0;
    __asm__ __volatile__("vmrs %0, fpscr" : "=r"(found.csr) : : "memory");
    if (found.csr & 0x07F79F00u) __asm__ __volatile__("vmsr fpscr, %0" : : "r"(plain) : "memory");
    return found;
}
static void drl__leave(const drl__mode *found)
{ __asm__ __volatile__("vmsr fpscr, %0" : : "r"(found->csr) : "memory"); }
#elif defined(__powerpc__) && defined(__GNUC__) && !defined(_SOFT_FLOAT) && !defined(__NO_FPRS__)
/* glibc's fesetenv has an instruction that older processors lack */
typedef struct drl__mode { double control; } drl__mode;
static drl__mode drl__enter(void)
{
    drl__mode found;
    const double plain = 0;
    __asm__ __volatile__("mffs %0" : "=d"(found.control) : : "memory");
    __asm__ __volatile__("mtfsf 255,%0" : : "d"(plain) : "memory");
    return found;
}
static void drl__leave(const drl__mode *found)
{ __asm__ __volatile__("mtfsf 255,%0" : : "d"(found->control) : "memory"); }
#elif !defined(__wasm__) && (defined(__unix__) || defined(__APPLE__) || defined(_WIN32))
#include <fenv.h>
typedef struct drl__mode { fenv_t env; } drl__mode;
static drl__mode drl__enter(void)
{
    drl__mode found;
    fegetenv(&found.env);
    fesetenv(FE_DFL_ENV);
    return found;
}
static void drl__leave(const drl__mode *found) { fesetenv(&found->env); }
#else
typedef struct drl__mode { int none; } drl__mode;
static drl__mode drl__enter(void) { drl__mode found = { 0 }; return found; }
static void drl__leave(const drl__mode *found) { (void)found; }
#endif
#define DRL__CALL(type, name, params, args) \
    static type name##__body params; \
    DRL_API type name params \
    { \
        type (*volatile drl__body) params = name##__body; \
        const drl__mode drl__found = drl__enter(); \
        const type drl__result = drl__body args; \
        drl__leave(&drl__found); \
        return drl__result; \
    } \
    static type name##__body params
#define DRL__CALL_VOID(name, params, args) \
    static void name##__body params; \
    DRL_API void name params \
    { \
        void (*volatile drl__body) params = name##__body; \
        const drl__mode drl__found = drl__enter(); \
        drl__body args; \
        drl__leave(&drl__found); \
    } \
    static void name##__body params

/* Under AddressSanitizer every buffer of a net has its own place with a guarded gap behind it, which makes
 * overruns visible. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define DRL__ASAN 1
#endif
#endif
#if !defined(DRL__ASAN) && defined(__SANITIZE_ADDRESS__)
#define DRL__ASAN 1
#endif
#ifdef DRL__ASAN
#include <sanitizer/asan_interface.h>
#endif

#define DRL__ALIGN   64                     /* bytes; every block starts on a cache line */
#define DRL__THREADS_MAX 64
#define DRL__FLOATS_MAX ((size_t)PTRDIFF_MAX / sizeof(float) - DRL__ALIGN)     /* of one block: C's limit */
#define DRL__COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Checked arithmetic on sizes: the only way in which sizes that come from outside are combined. */
static int drl__mul_fits(size_t a, size_t b, size_t *product)
{
    if (b && a > SIZE_MAX / b) return 0;
    *product = a * b;
    return 1;
}

static int drl__add_fits(size_t a, size_t b, size_t *sum)
{
    if (a > SIZE_MAX - b) return 0;
    *sum = a + b;
    return 1;
}

static size_t drl__round_up(size_t n, size_t multiple) { return (n + multiple - 1) / multiple * multiple; }
static int    drl__min(int a, int b) { return a < b ? a : b; }
static int    drl__max(int a, int b) { return a > b ? a : b; }

/* Whether a float or double is finite: infinity less infinity is no number. Arrays: drl__all_finite. */
#define drl__finite(x) ((x) - (x) == 0)

/* Where no float can lie. NULL is not misaligned, which optional pointers may be, but it is bad. */
static int drl__misaligned(const void *floats) { return (uintptr_t)floats % sizeof(float) != 0; }
static int drl__bad_floats(const float *floats) { return !floats || drl__misaligned(floats); }
/* `value` lies where a double may lie: 32-bit x86 aligns doubles to 4 bytes, others to their size. */
typedef struct drl__double_place { char before; double value; } drl__double_place;

/* -----------------------------------------------------------------------------------------------------------
 * [context.impl] - first error, allocation, jobs.
 * -------------------------------------------------------------------------------------------------------- */
struct drl__kernels;

/* The deadline of drl_sampler_run_until. While a sampler proposes, the first initializer that runs looks at
 * the clock after every operator, and stops with DRL_RUNNING when time is over; called again it goes on. */
typedef struct drl__until {
    double (*clock)(void *user);            /* NULL: no time is set */
    void *user;
    double end;
    uint64_t proposal;                      /* its number in the context; 0: nothing may stop */
    int goes_on;                            /* it was begun in an earlier call */
    int runs;                               /* of networks, in this call */
} drl__until;

struct drl_ctx {
    drl_allocator allocator;
    drl_jobs jobs;
    const struct drl__kernels *kernels;
    int threads;
    int in_jobs;                            /* jobs are running: nothing is split any further */
    drl__until until;
    uint64_t proposals;                     /* that were begun so far */
    drl_isa isa;
    drl_status status;                      /* the first failure */
    char message[320];
    unsigned char *block;                   /* caller's memory: pieces without gaps, free and in use */
    size_t block_size;
    void *block_free;                       /* its first free piece, a drl__head */
    size_t used, peak;
    void *self;                             /* what the allocator returned for this struct */
    size_t self_bytes;
#ifdef DRL_THREADS
    struct drl__pool *pool;                 /* built-in threads, or NULL */
#endif
};

DRL_API const char *drl_status_text(drl_status status)
{
    switch (status) {
#define DRL__X(name, value, text) case name: return text;
    DRL_STATUS_LIST(DRL__X)
#undef DRL__X
    default: return "unknown status";
    }
}

/* Appends n bytes of s to a text of `capacity` bytes, of which *at are in use; cuts off what does not fit. */
static void drl__text_append(char *text, size_t capacity, size_t *at, const char *s, size_t n)
{
    while (n-- && *at + 1 < capacity) text[(*at)++] = *s++;
    text[*at] = 0;
}

static size_t drl__text_u64(char *out, uint64_t v)
{
    char digits[20];
    size_t n = 0, i;
    do { digits[n++] = (char)('0' + (int)(v % 10)); v /= 10; } while (v);
    for (i = 0; i < n; ++i) out[i] = digits[n - 1 - i];
    return n;
}

/* Six significant digits as %g prints them, rounded by plain arithmetic: the last one may differ. */
static size_t drl__text_double(char *out, double v)
{
    size_t n = 0;
    int exponent = 0, point, i, last;
    char digits[6];
    uint64_t whole;
    if (!(v == v)) { memcpy(out, "nan", 3); return 3; }
    if (v < 0) { out[n++] = '-'; v = -v; }
    if (v > 1.7e308) { memcpy(out + n, "inf", 3); return n + 3; }
    if (v > 0) {
        while (v >= 10) { v /= 10; ++exponent; }
        while (v < 1) { v *= 10; --exponent; }
    }
    whole = (uint64_t)(v * 1e5 + 0.5);
    if (whole >= 1000000) { whole /= 10; ++exponent; }
    for (i = 5; i >= 0; --i) { digits[i] = (char)('0' + (int)(whole % 10)); whole /= 10; }
    for (last = 5; last > 0 && digits[last] == '0'; --last) { }
    if (exponent >= -4 && exponent < 0) {
        out[n++] = '0'; out[n++] = '.';
        for (i = -1; i > exponent; --i) out[n++] = '0';
        for (i = 0; i <= last; ++i) out[n++] = digits[i];
        return n;
    }
    point = exponent >= 0 && exponent < 6 ? exponent : 0;
    for (i = 0; i <= drl__max(last, point); ++i) {
        out[n++] = digits[i];
        if (i == point && last > point) out[n++] = '.';
    }
    if (point != exponent) {
        out[n++] = 'e';
        if (exponent < 0) { out[n++] = '-'; exponent = -exponent; }
        n += drl__text_u64(out + n, (uint64_t)exponent);
    }
    return n;
}

/* printf without stdio, the same on every libc. Conversions: %s, %c, %d (int), %u (uint64_t), %z (size_t), %g
 * (double, six significant digits). */
static void drl__text_format(char *text, size_t capacity, const char *format, va_list args)
{
    size_t at = 0;
    text[0] = 0;
    for (; *format; ++format) {
        char number[40];
        size_t n = 0;
        if (*format != '%') { drl__text_append(text, capacity, &at, format, 1); continue; }
        ++format;
        if (*format == 's') {
            const char *s = va_arg(args, const char *);
            if (!s) s = "(null)";
            drl__text_append(text, capacity, &at, s, strlen(s));
            continue;
        }
        if (*format == 'c') number[n++] = (char)va_arg(args, int);
        else if (*format == 'd') {
            int v = va_arg(args, int);
            if (v < 0) number[n++] = '-';
            n += drl__text_u64(number + n, v < 0 ? (uint64_t)0 - (uint64_t)v : (uint64_t)v);
        }
        else if (*format == 'u') n = drl__text_u64(number, va_arg(args, uint64_t));
        else if (*format == 'z') n = drl__text_u64(number, va_arg(args, size_t));
        else if (*format == 'g') n = drl__text_double(number, va_arg(args, double));
        else { DRL_ASSERT(0 && "conversion of drl__text_format"); return; }
        drl__text_append(text, capacity, &at, number, n);
    }
}

static void drl__text(char *text, size_t capacity, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    drl__text_format(text, capacity, format, args);
    va_end(args);
}

/* Returns the status, and keeps status and sentence if they are the context's first failure:
 *     return drl__fail(ctx, DRL_E_SHAPE, "...", ...);
 * ctx may be NULL. */
static drl_status drl__fail(drl_ctx *ctx, drl_status status, const char *format, ...)
{
    if (ctx && ctx->status == DRL_OK) {
        va_list args;
        ctx->status = status;
        va_start(args, format);
        drl__text_format(ctx->message, sizeof ctx->message, format, args);
        va_end(args);
    }
    return status;
}
#ifdef __clang_analyzer__   /* it does not look into functions with "...": it would expect DRL_OK as well */
#define drl__fail(ctx, status, ...) (drl__fail(ctx, status, __VA_ARGS__), (status))
#endif

/* Whether a description was zeroed before its fields were set, as far as its last field shows. If not, the
 * fields that nobody set hold what happened to be in memory. */
static drl_status drl__zeroed(drl_ctx *ctx, const char *type, int canary)
{
    if (!canary) return DRL_OK;
    return drl__fail(ctx, DRL_E_ARGUMENT, "the %s was not zeroed before its fields were set: "
                     "%s d = { 0 }; does it", type, type);
}

/* Checks of arguments. Each fails with one sentence that begins with `who`, the public function. */
static drl_status drl__at_least(drl_ctx *ctx, const char *who, const char *name, int value, int low)
{
    if (value >= low) return DRL_OK;
    return drl__fail(ctx, DRL_E_ARGUMENT, "%s: %s is %d; %d or more are possible", who, name, value, low);
}

static drl_status drl__floats_check(drl_ctx *ctx, const char *who, const char *name, const float *floats)
{
    if (!floats) return drl__fail(ctx, DRL_E_ARGUMENT, "%s: %s is missing", who, name);
    if (drl__misaligned(floats))
        return drl__fail(ctx, DRL_E_ARGUMENT, "%s: %s is not aligned as floats are", who, name);
    return DRL_OK;
}

DRL_API drl_status  drl_ctx_status(const drl_ctx *ctx)     { return ctx ? ctx->status : DRL_E_ARGUMENT; }
DRL_API const char *drl_ctx_message(const drl_ctx *ctx)    { return ctx ? ctx->message : "no context"; }

DRL_API void drl_ctx_clear(drl_ctx *ctx)
{
    if (!ctx) return;
    ctx->status = DRL_OK;
    ctx->message[0] = 0;
}

DRL_API drl_isa     drl_ctx_isa(const drl_ctx *ctx)        { return ctx ? ctx->isa : DRL_ISA_AUTO; }
DRL_API int         drl_ctx_threads(const drl_ctx *ctx)    { return ctx ? ctx->threads : 0; }
DRL_API size_t      drl_ctx_bytes_used(const drl_ctx *ctx) { return ctx ? ctx->used : 0; }
DRL_API size_t      drl_ctx_bytes_peak(const drl_ctx *ctx) { return ctx ? ctx->peak : 0; }

/* Stands in front of every allocation. A caller's block is cut into pieces without gaps between them, each
 * with a head. The free pieces are a list in the order of their addresses, and no two of them touch. An
 * allocation takes the low end of the first free piece that is large enough. */
typedef struct drl__head {
    void  *raw;                             /* what the allocator returned; in a block: the next free piece */
    size_t bytes;                           /* of the whole piece, this head included */
} drl__head;

/* Bytes of the piece that holds `bytes`, at most SIZE_MAX / 2: a head that ends on a cache line, and one more
 * line, because allocators may return any address. A caller's block does not need that line, but its pieces
 * are as large, so that a size asked for beforehand holds for both. */
static size_t drl__piece_bytes(size_t bytes)
{ return drl__round_up(bytes + sizeof(drl__head), DRL__ALIGN) + DRL__ALIGN; }

/* Under AddressSanitizer only what was asked for may be touched: no free piece, and no end of a piece. */
static void drl__block_close(drl__head *head)
{
#ifdef DRL__ASAN
    ASAN_POISON_MEMORY_REGION(head + 1, head->bytes - sizeof *head);
#else
    (void)head;
#endif
}

static void drl__block_open(void *memory, size_t bytes)
{
#ifdef DRL__ASAN
    ASAN_UNPOISON_MEMORY_REGION(memory, bytes);
#else
    (void)memory; (void)bytes;
#endif
}

static drl__head *drl__piece_after(drl__head *head)
{ return (drl__head *)(void *)((unsigned char *)head + head->bytes); }

/* Makes the whole block one free piece. Its data begin on a cache line, as do those of every piece cut from
 * it. */
static void drl__block_start(drl_ctx *ctx, void *start, size_t size)
{
    drl__head *head = (drl__head *)start;
    ctx->block = (unsigned char *)start;
    ctx->block_size = size / DRL__ALIGN * DRL__ALIGN;
    ctx->block_free = NULL;
    if (!ctx->block_size) return;
    head->raw = NULL;
    head->bytes = ctx->block_size;
    ctx->block_free = head;
    drl__block_close(head);
}

/* Takes a piece of `total` bytes, a multiple of DRL__ALIGN. If no free piece is that large, fails and returns
 * NULL. */
static drl__head *drl__block_take(drl_ctx *ctx, size_t total)
{
    void **link = &ctx->block_free;
    size_t free_bytes = 0, largest = 0;
    drl__head *head, *rest;
    for (; *link; link = &head->raw) {
        head = (drl__head *)*link;
        if (head->bytes >= total) {
            if (head->bytes > total) {
                rest = (drl__head *)(void *)((unsigned char *)head + total);
                drl__block_open(rest, sizeof *rest);
                rest->raw = head->raw;
                rest->bytes = head->bytes - total;
                *link = rest;
            }
            else *link = head->raw;
            head->bytes = total;
            return head;
        }
        free_bytes += head->bytes;
        if (head->bytes > largest) largest = head->bytes;
    }
    drl__fail(ctx, DRL_E_MEMORY,
              "out of memory: %z bytes do not fit the caller's block; %z of its %z bytes are free, at most "
              "%z in one piece", total, free_bytes, ctx->block_size, largest);
    return NULL;
}

/* Puts a piece back into the list, and joins it with free pieces that it touches. */
static void drl__block_return(drl_ctx *ctx, drl__head *head)
{
    drl__head *before = NULL, *after = (drl__head *)ctx->block_free;
    while (after && after < head) { before = after; after = (drl__head *)after->raw; }
    head->raw = after;
    if (before) before->raw = head; else ctx->block_free = head;
    if (after && drl__piece_after(head) == after) {
        head->bytes += after->bytes;
        head->raw = after->raw;
    }
    if (before && drl__piece_after(before) == head) {
        before->bytes += head->bytes;
        before->raw = head->raw;
        head = before;
    }
    drl__block_close(head);
}

/* Memory that begins on a cache line. If there is none, fails and returns NULL. */
static void *drl__alloc(drl_ctx *ctx, size_t bytes)
{
    drl__head *head;
    size_t total;
    uintptr_t at;
    if (bytes > SIZE_MAX / 2) {
        drl__fail(ctx, DRL_E_MEMORY, "out of memory: %z bytes cannot be addressed", bytes);
        return NULL;
    }
    total = drl__piece_bytes(bytes);
    if (ctx->block) {
        head = drl__block_take(ctx, total);
        if (!head) return NULL;
        drl__block_open(head + 1, bytes);
    } else {
        at = (uintptr_t)ctx->allocator.alloc_fn(ctx->allocator.user, total);
        if (!at) {
            drl__fail(ctx, DRL_E_MEMORY, "out of memory: the allocator has no %z bytes, %z are in use", total,
                      ctx->used);
            return NULL;
        }
        head = (drl__head *)((at + sizeof(drl__head) + DRL__ALIGN - 1) / DRL__ALIGN * DRL__ALIGN) - 1;
        head->raw = (void *)at;
        head->bytes = total;
    }
    ctx->used += total;
    if (ctx->used > ctx->peak) ctx->peak = ctx->used;
    return head + 1;
}

static void drl__free(drl_ctx *ctx, void *memory)
{
    drl__head *head;
    if (!memory) return;
    head = (drl__head *)memory - 1;
    ctx->used -= head->bytes;
    if (ctx->block) drl__block_return(ctx, head);
    else ctx->allocator.free_fn(ctx->allocator.user, head->raw, head->bytes);
}

/* Lays out a block part by part: adds `count` elements of `size` bytes to the *total bytes so far, and
 * returns their offset, which is on a cache line. A total that does not fit becomes SIZE_MAX for good. */
static size_t drl__carve(size_t *total, size_t count, size_t size)
{
    size_t at = *total, bytes;
    if (at == SIZE_MAX || !drl__mul_fits(count, size, &bytes) ||
        bytes > SIZE_MAX / 2 || at > SIZE_MAX / 2 - bytes) {
        *total = SIZE_MAX;
        return 0;
    }
    *total = drl__round_up(at + bytes, DRL__ALIGN);
    return at;
}

/* Lays out an array of an object. The function that lays out the object runs twice: with block NULL for the
 * total, then with the block. Returns the address of the array, NULL without a block. */
static void *drl__place_array(void *block, size_t *total, size_t count, size_t size)
{
    size_t at = drl__carve(total, count, size);
    return block ? (unsigned char *)block + at : NULL;
}
static float *drl__place_floats(void *block, size_t *total, size_t count)
{ return (float *)drl__place_array(block, total, count, sizeof(float)); }

/* The built-in pool. Each call of drl__pool_for starts a generation of jobs. The workers take indices one by
 * one, and sleep on a condition between generations. */
#ifdef DRL_THREADS
#ifdef _WIN32
#include <windows.h>
typedef CRITICAL_SECTION   drl__mutex;
typedef CONDITION_VARIABLE drl__cond;
typedef HANDLE             drl__thread;
#define drl__lock(m)         EnterCriticalSection(m)
#define drl__unlock(m)       LeaveCriticalSection(m)
#define drl__wait(c, m)      SleepConditionVariableCS(c, m, INFINITE)
#define drl__wake(c)         WakeAllConditionVariable(c)
#define DRL__THREAD_RETURN   DWORD WINAPI
#else
#include <pthread.h>
#include <unistd.h>
typedef pthread_mutex_t drl__mutex;
typedef pthread_cond_t  drl__cond;
typedef pthread_t       drl__thread;
#define drl__lock(m)         pthread_mutex_lock(m)
#define drl__unlock(m)       pthread_mutex_unlock(m)
#define drl__wait(c, m)      pthread_cond_wait(c, m)
#define drl__wake(c)         pthread_cond_broadcast(c)
#define DRL__THREAD_RETURN   void *
#endif

typedef struct drl__pool {
    drl__mutex mutex;
    drl__cond start, done;
    drl__thread workers[DRL__THREADS_MAX];
    int worker_count, stop;
#ifndef _WIN32
    pid_t owner;                            /* the process that has the workers */
#endif
    int count, next, left;                  /* jobs of this generation: all, next index, not finished */
    drl_job_fn job;
    void *arg;
} drl__pool;

/* Whether this process has the workers. The child of a fork has none, and its copy of the mutex may have been
 * locked by another thread at that moment, for ever: the child uses neither. */
static int drl__pool_is_mine(const drl__pool *p)
{
#ifdef _WIN32
    (void)p;
    return 1;
#else
    return p->owner == getpid();
#endif
}

static void drl__pool_take_jobs(drl__pool *p)    /* with the mutex held */
{
    while (p->next < p->count) {
        int index = p->next++;
        drl_job_fn job = p->job;
        void *arg = p->arg;
        drl__unlock(&p->mutex);
        job(arg, index);
        drl__lock(&p->mutex);
        if (--p->left == 0) drl__wake(&p->done);
    }
}

static DRL__THREAD_RETURN drl__pool_worker(void *pool)
{
    drl__pool *p = (drl__pool *)pool;
    drl__lock(&p->mutex);
    while (!p->stop) {
        drl__pool_take_jobs(p);
        if (!p->stop && p->next >= p->count) drl__wait(&p->start, &p->mutex);
    }
    drl__unlock(&p->mutex);
    return 0;
}

static void drl__pool_for(void *user, int count, drl_job_fn job, void *arg)
{
    drl__pool *p = (drl__pool *)user;
    int i;
    if (!drl__pool_is_mine(p)) {
        for (i = 0; i < count; ++i) job(arg, i);
        return;
    }
    drl__lock(&p->mutex);
    p->job = job;
    p->arg = arg;
    p->count = p->left = count;
    p->next = 0;
    drl__wake(&p->start);
    drl__pool_take_jobs(p);
    while (p->left) drl__wait(&p->done, &p->mutex);
    drl__unlock(&p->mutex);
}

static void drl__pool_destroy(drl_ctx *ctx, drl__pool *p)
{
    int i;
    if (!p) return;
    if (!drl__pool_is_mine(p)) { drl__free(ctx, p); return; }
    drl__lock(&p->mutex);
    p->stop = 1;
    drl__wake(&p->start);
    drl__unlock(&p->mutex);
    for (i = 0; i < p->worker_count; ++i) {
#ifdef _WIN32
        WaitForSingleObject(p->workers[i], INFINITE);
        CloseHandle(p->workers[i]);
#else
        pthread_join(p->workers[i], NULL);
#endif
    }
#ifdef _WIN32
    DeleteCriticalSection(&p->mutex);
#else
    pthread_cond_destroy(&p->start);
    pthread_cond_destroy(&p->done);
    pthread_mutex_destroy(&p->mutex);
#endif
    drl__free(ctx, p);
}

/* Starts threads - 1 workers; the calling thread does jobs, too. */
static drl_status drl__pool_create(drl_ctx *ctx, int threads)
{
    drl__pool *p = (drl__pool *)drl__alloc(ctx, sizeof *p);
    int i;
    if (!p) return DRL_E_MEMORY;
    memset(p, 0, sizeof *p);
#ifdef _WIN32
    InitializeCriticalSection(&p->mutex);
    InitializeConditionVariable(&p->start);
    InitializeConditionVariable(&p->done);
#else
    p->owner = getpid();
    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->start, NULL);
    pthread_cond_init(&p->done, NULL);
#endif
    for (i = 0; i < threads - 1; ++i) {
#ifdef _WIN32
        p->workers[i] = CreateThread(NULL, 0, drl__pool_worker, p, 0, NULL);
        if (!p->workers[i]) break;
#else
        if (pthread_create(&p->workers[i], NULL, drl__pool_worker, p)) break;
#endif
        p->worker_count = i + 1;
    }
    if (p->worker_count < threads - 1) {
        drl__fail(ctx, DRL_E_UNSUPPORTED, "the system starts only %d of %d threads", p->worker_count + 1,
                  threads);
        drl__pool_destroy(ctx, p);
        return DRL_E_UNSUPPORTED;
    }
    ctx->pool = p;
    ctx->jobs.parallel_for = drl__pool_for;
    ctx->jobs.user = p;
    return DRL_OK;
}
#endif /* DRL_THREADS */

/* A job that runs in the library's floating-point mode on any thread. */
typedef struct drl__job {
    drl_job_fn run;
    void *arg;
} drl__job;

static void drl__job_run(void *arg, int index)
{
    const drl__job *j = (const drl__job *)arg;
    const drl__mode found = drl__enter();
    j->run(j->arg, index);
    drl__leave(&found);
}

/* Runs job(arg, 0 .. count - 1), where count is at most ctx->threads. Jobs that a job starts run inside it,
 * in order. */
static void drl__parallel(drl_ctx *ctx, int count, drl_job_fn job, void *arg)
{
    drl__job whole;
    int i;
    whole.run = job;
    whole.arg = arg;
    if (count > 1 && ctx->jobs.parallel_for && !ctx->in_jobs) {
        ctx->in_jobs = 1;
        ctx->jobs.parallel_for(ctx->jobs.user, count, drl__job_run, &whole);
        ctx->in_jobs = 0;
    }
    else for (i = 0; i < count; ++i) drl__job_run(&whole, i);
}

#ifndef DRL_NO_MALLOC
static void *drl__malloc(void *user, size_t bytes) { (void)user; return malloc(bytes); }
static void  drl__mfree(void *user, void *p, size_t bytes) { (void)user; (void)bytes; free(p); }
#endif

static drl_status drl__dispatch(drl_ctx *ctx, drl_isa wanted);

/* Fills in defaults and checks the description; *d is complete on success. */
static drl_status drl__ctx_resolve(const drl_ctx_desc *desc, drl_ctx_desc *d)
{
    memset(d, 0, sizeof *d);
    if (desc) *d = *desc;
    if (d->canary) return DRL_E_ARGUMENT;
    if (!d->threads) d->threads = 1;
    if (d->threads < 1 || d->threads > DRL__THREADS_MAX) return DRL_E_ARGUMENT;
    if (!d->allocator.alloc_fn != !d->allocator.free_fn) return DRL_E_ARGUMENT;
    if (!d->memory != !d->memory_size) return DRL_E_ARGUMENT;
    if (d->memory && d->allocator.alloc_fn) return DRL_E_ARGUMENT;
#ifndef DRL_THREADS
    if (d->threads > 1 && !d->jobs.parallel_for) return DRL_E_UNSUPPORTED;
#endif
#ifdef DRL_NO_MALLOC
    if (!d->memory && !d->allocator.alloc_fn) return DRL_E_ARGUMENT;
#else
    if (!d->memory && !d->allocator.alloc_fn) {
        d->allocator.alloc_fn = drl__malloc;
        d->allocator.free_fn = drl__mfree;
    }
#endif
    return DRL_OK;
}

DRL_API drl_status drl_ctx_create(const drl_ctx_desc *desc, drl_ctx **out)
{
    drl_ctx c, *ctx;
    drl_ctx_desc d;
    drl_status status;
    uintptr_t at;
    /* with room behind it for the head of a block's first piece */
    const size_t bytes = drl__piece_bytes(sizeof(drl_ctx));
    if (!out) return DRL_E_ARGUMENT;
    status = drl__ctx_resolve(desc, &d);
    if (status != DRL_OK) return status;
    memset(&c, 0, sizeof c);
    c.allocator = d.allocator;
    c.jobs = d.jobs;
    c.threads = d.threads;
    status = drl__dispatch(&c, d.isa);
    if (status != DRL_OK) return status;
    if (d.memory) {
        if (d.memory_size < bytes) return DRL_E_MEMORY;
        at = (uintptr_t)d.memory;
    } else {
        at = (uintptr_t)c.allocator.alloc_fn(c.allocator.user, bytes);
        if (!at) return DRL_E_MEMORY;
    }
    ctx = (drl_ctx *)((at + DRL__ALIGN - 1) / DRL__ALIGN * DRL__ALIGN);
    *ctx = c;
    ctx->self = (void *)at;
    ctx->self_bytes = bytes;
    if (d.memory)
        drl__block_start(ctx, (unsigned char *)ctx + bytes - DRL__ALIGN - sizeof(drl__head),
                         d.memory_size - bytes);
    ctx->used = ctx->peak = bytes;
#ifdef DRL_THREADS
    if (d.threads > 1 && !d.jobs.parallel_for) {
        status = drl__pool_create(ctx, d.threads);
        if (status != DRL_OK) { drl_ctx_destroy(ctx); return status; }
    }
#endif
    *out = ctx;
    return DRL_OK;
}

DRL_API void drl_ctx_destroy(drl_ctx *ctx)
{
    if (!ctx) return;
#ifdef DRL_THREADS
    drl__pool_destroy(ctx, ctx->pool);
#endif
    if (ctx->block) drl__block_open(ctx->block, ctx->block_size);      /* the memory is the caller's again */
    else {
        drl_allocator a = ctx->allocator;
        a.free_fn(a.user, ctx->self, ctx->self_bytes);
    }
}

/* -----------------------------------------------------------------------------------------------------------
 * [elementary] - exp, log, sin, cos, tan and atan in double, made of + - * / and square roots: accurate to
 * about 1e-15, and the same on every machine.
 * -------------------------------------------------------------------------------------------------------- */
#define DRL__PI 3.14159265358979323846

static uint64_t drl__bits64(double x)        { uint64_t u; memcpy(&u, &x, sizeof u); return u; }
static double   drl__double_of(uint64_t u)   { double x; memcpy(&x, &u, sizeof x); return x; }

/* c[0] + c[1] x + ... + c[n-1] x^(n-1) */
static double drl__poly(const double *c, int n, double x)
{
    double y = c[--n];
    while (n > 0) y = y * x + c[--n];
    return y;
}

/* The nearest integer of |x| < 2^51: adding 1.5 * 2^52 leaves no room for a fraction. */
static double drl__nearest(double x)
{
    volatile double t = x + 6755399441055744.0;
    return t - 6755399441055744.0;
}

/* e^x = 2^k e^r, |r| <= ln(2) / 2, Taylor. Zero below -708: no denormal results. */
static double drl__exp(double x)
{
    static const double c[14] = {
        1.0, 1.0, 1.0/2, 1.0/6, 1.0/24, 1.0/120, 1.0/720, 1.0/5040, 1.0/40320, 1.0/362880, 1.0/3628800,
        1.0/39916800, 1.0/479001600, 1.0/6227020800.0
    };
    double k, r;
    if (!(x == x)) return x;
    if (x > 709.7) return x > 709.78 ? HUGE_VAL : drl__exp(x - 1.0) * 2.718281828459045235;
    if (x < -708.0) return 0.0;
    k = drl__nearest(x * 1.4426950408889634074);
    /* ln 2 in two parts; the product with the first is exact */
    r = (x - k * 0.6931471803691238165) - k * 1.9082149292705878161e-10;
    return drl__poly(c, 14, r) * drl__double_of((uint64_t)((int64_t)k + 1023) << 52);
}

/* x = 2^k m with m about 1: log x = k ln 2 + 2 atanh((m - 1) / (m + 1)). x is a normal number, or zero. */
static double drl__log(double x)
{
    static const double c[12] = {
        1.0, 1.0/3, 1.0/5, 1.0/7, 1.0/9, 1.0/11, 1.0/13, 1.0/15, 1.0/17, 1.0/19, 1.0/21, 1.0/23
    };
    uint64_t u = drl__bits64(x);
    int k;
    double m, s;
    if (!(x > 0)) return x == 0 ? -HUGE_VAL : x - x + (double)NAN;
    if (x > 1.7976931348623157e308) return x;
    k = (int)(u >> 52) - 1023;
    m = drl__double_of((u & 0xFFFFFFFFFFFFFu) | ((uint64_t)1023 << 52));
    if (m > 1.41421356237309505) { m *= 0.5; ++k; }
    s = (m - 1) / (m + 1);
    return k * 0.6931471803691238165 + (2 * s * drl__poly(c, 12, s * s) + k * 1.9082149292705878161e-10);
}

/* sin and cos for |x| up to a million: x - q pi/2 with pi/2 in three parts, then Taylor. */
static void drl__sincos(double x, double *sine, double *cosine)
{
    static const double s[9] = {
        1.0, -1.0/6, 1.0/120, -1.0/5040, 1.0/362880, -1.0/39916800, 1.0/6227020800.0, -1.0/1307674368000.0,
        1.0/355687428096000.0
    };
    static const double c[10] = {
        1.0, -1.0/2, 1.0/24, -1.0/720, 1.0/40320, -1.0/3628800, 1.0/479001600, -1.0/87178291200.0,
        1.0/20922789888000.0, -1.0/6402373705728000.0
    };
    double q = drl__nearest(x * 0.63661977236758134308);
    double r = ((x - q * 1.57079632673412561417) - q * 6.077100506303965976e-11)
             - q * 2.0222662487959507324e-21;
    double sr = r * drl__poly(s, 9, r * r), cr = drl__poly(c, 10, r * r);
    int quadrant = (int)((int64_t)q & 3);
    *sine   = quadrant == 0 ? sr : quadrant == 1 ? cr : quadrant == 2 ? -sr : -cr;
    *cosine = quadrant == 0 ? cr : quadrant == 1 ? -sr : quadrant == 2 ? -cr : sr;
}

static double drl__sin(double x) { double s, c; drl__sincos(x, &s, &c); return s; }
static double drl__cos(double x) { double s, c; drl__sincos(x, &s, &c); return c; }
static double drl__tan(double x) { double s, c; drl__sincos(x, &s, &c); return s / c; }

/* Above 1, atan x = pi/2 - atan(1/x). Then atan x = 2 atan(x / (1 + sqrt(1 + x^2))) twice, until |x| <= 0.2,
 * and Taylor. */
static double drl__atan(double x)
{
    static const double c[13] = {
        1.0, -1.0/3, 1.0/5, -1.0/7, 1.0/9, -1.0/11, 1.0/13, -1.0/15, 1.0/17, -1.0/19, 1.0/21, -1.0/23, 1.0/25
    };
    if (x < 0) return -drl__atan(-x);
    if (x > 1) return 0.5 * DRL__PI - drl__atan(1 / x);
    x = x / (1 + sqrt(1 + x * x));
    x = x / (1 + sqrt(1 + x * x));
    return 4 * (x * drl__poly(c, 13, x * x));
}

/* -----------------------------------------------------------------------------------------------------------
 * [rng.impl] - Philox 4x32-10 one block at a time; the normals are a vector kernel, see [simd].
 * -------------------------------------------------------------------------------------------------------- */
#define DRL__PHILOX_M0 0xD2511F53u
#define DRL__PHILOX_M1 0xCD9E8D57u
#define DRL__PHILOX_W0 0x9E3779B9u
#define DRL__PHILOX_W1 0xBB67AE85u

static void drl__philox(uint32_t counter[4], uint32_t key0, uint32_t key1)
{
    int round;
    for (round = 0; round < 10; ++round, key0 += DRL__PHILOX_W0, key1 += DRL__PHILOX_W1) {
        uint64_t a = (uint64_t)DRL__PHILOX_M0 * counter[0], b = (uint64_t)DRL__PHILOX_M1 * counter[2];
        counter[0] = (uint32_t)(b >> 32) ^ counter[1] ^ key0;
        counter[2] = (uint32_t)(a >> 32) ^ counter[3] ^ key1;
        counter[1] = (uint32_t)b;
        counter[3] = (uint32_t)a;
    }
}

/* Draw p is word p % 4 of block p / 4. */
static uint32_t drl__rng_u32(drl_rng *rng)
{
    uint64_t block;
    int word;
    uint32_t counter[4];
    if (!rng) return 0;
    block = rng->position >> 2;
    word = (int)(rng->position++ & 3);
    counter[0] = (uint32_t)block;        counter[1] = (uint32_t)(block >> 32);
    counter[2] = (uint32_t)rng->stream;  counter[3] = (uint32_t)(rng->stream >> 32);
    drl__philox(counter, (uint32_t)rng->seed, (uint32_t)(rng->seed >> 32));
    return counter[word];
}

DRL_API float drl_rng_uniform(drl_rng *rng) { return (float)(drl__rng_u32(rng) >> 8) * (1.0f / 16777216.0f); }

DRL_API int drl_rng_below(drl_rng *rng, int n)
{
    if (n < 1) return 0;
    return (int)(((uint64_t)drl__rng_u32(rng) * (uint64_t)n) >> 32);
}

/* -----------------------------------------------------------------------------------------------------------
 * [dispatch] - the kernels' arguments and table, one inclusion of this file per instruction set, and the
 * choice among the sets at run time. Nearly all kernels have one form: they compute items [begin, end) of an
 * operator that `arg` describes, as job number `job`.
 * -------------------------------------------------------------------------------------------------------- */
typedef void (*drl__span_fn)(const void *arg, size_t begin, size_t end, int job);

#define DRL__LANES    16            /* partial sums of every reduction of a contiguous vector, on every set */
#define DRL__MR_MAX   6             /* most rows of a tile */
#ifndef DRL__GRAIN
#define DRL__GRAIN    262144        /* elements that are worth waking a thread; a multiple of DRL__LANES */
#endif
#define DRL__GRAIN_FMA (8 * (size_t)DRL__GRAIN)     /* multiply-adds of a matrix product that are worth it */
#define DRL__CHUNK    96            /* pixels that share a pass over the weights; a tile's rows divide it */
#define DRL__DW_CHUNK 128           /* pixels in one chain of the parameter gradient */
#define DRL__DEPTH    32            /* unpacked weights: inputs transformed together; 16 divides it */
#ifndef DRL__UNPACKED
/* Winograd layers of fewer weights, input channels times output channels, are packed. Larger ones are
 * transformed in each pass, since their packed weights would fill the caches. */
#define DRL__UNPACKED   (128 * 128)
#endif
#define DRL__MAX_WEIGHTS 8192       /* weights that a pass over a chunk keeps in the first-level cache */

/* Pixels of a chunk: whole rows, unless pixels have no neighbours. */
static int drl__dw_chunk(int w, int flat)
{ return flat ? DRL__DW_CHUNK : w * drl__max(1, DRL__DW_CHUNK / w); }

/* y = s[0] a + s[1] b; b may be NULL. Items of this kernel, of Langevin's and of Adam's are elements. */
typedef struct drl__map_args {
    const float *a, *b;
    float *y;
    float s[2];
} drl__map_args;

/* y += grad_scale * grad + next_scale * (x_next - y) + noise_scale * eps; x_next may be NULL */
typedef struct drl__langevin_kernel_args {
    const float *x_next, *grad, *eps;
    float *y;
    float grad_scale, next_scale, noise_scale;
} drl__langevin_kernel_args;

/* Adam for parameters p: m and v are moving averages of the gradient and its square, ema that of p, or
 * NULL. */
typedef struct drl__adam_args {
    const float *grad;
    float *p, *m, *v, *ema;
    float grad_scale, beta1, beta2, step_size;
    float inv_sqrt_bc2;             /* 1 / sqrt(1 - beta2^t): v's bias correction */
    float eps, ema_decay;
} drl__adam_args;

/* Forward pass: y = act(x), and the bits x > 0 to bits_out. Gradient: y is dx. Items are elements. */
typedef struct drl__act_args {
    const float *x, *dy;
    float *y;
    const uint8_t *bits;
    uint8_t *bits_out;
    drl_act act;
    int accumulate;
    float kept;                     /* gradient: the factor where the bit is set */
} drl__act_args;

/* y[p][c] = x[p][c] * gain[c] + shift[c] for the pixels p of each image; gain and shift may be NULL, and are
 * then left out. If x is NULL, every x[p][c] of an image is one number, its x0. */
typedef struct drl__affine_args {
    const float *x, *gain, *shift;
    float *y;
    size_t rows, c;                 /* rows: pixels of one image; items are images */
    size_t gain_step, shift_step;   /* floats from image to image: c, or 0 for one that all images share */
    const float *x0;                /* x0_step floats further in the next image */
    size_t x0_step;
    int accumulate;
} drl__affine_args;

/* For each image: out[c] = scale * the sum over its rows of a[row][c] * f, where f is u[row], or b[row][c]
 * if u is NULL, or 1 if both are. */
typedef struct drl__columns_args {
    const float *a, *b, *u;
    float *out;
    size_t rows, c;
    size_t images;                  /* items are images * column groups of DRL__LANES * 4 */
    float scale;
    int accumulate;
} drl__columns_args;

/* y (h x w x c) from x (2h x 2w x c), or back; items are rows of the smaller images, which are stacked. */
typedef struct drl__pool_args {
    const float *x;
    float *y;
    size_t w, c;                    /* of the smaller image */
    float scale;
    int accumulate;
} drl__pool_args;

/* A convolution as the kernels see it: k outputs from taps * c inputs at each pixel. */
typedef struct drl__conv_args {
    const float *x;                 /* images of h x w pixels, c channels */
    const float *packed;            /* [block of outputs][tap][c][outputs of the block] */
    const float *start;             /* first value of every sum; at the next pixel, start_step floats on */
    const float *zeros;             /* c of them, read outside of the image */
    const float *dy;                /* parameter gradient only */
    float *y;                       /* outputs, or the parameter gradient in the order of `packed` */
    float *scratch;                 /* scratch_each floats per job */
    size_t scratch_each, start_step;        /* start_step 0: the bias is the first value at all pixels */
    size_t pixels;                  /* of all images */
    int h, w, c, k, side;           /* side: 3 or 1 */
    /* Nonzero with few channels: rows are copied with zero padding, so that the taps of a row are one
     * contiguous run. In the parameter gradient: taps * c, or DRL__MR_MAX if that is more. */
    int joined_taps;
} drl__conv_args;

/* Copies pixels first .. first + count - 1 with all that their taps see. Each stretch of n pixels in one row
 * of an image becomes `side` rows of (n + side - 1) * c floats. */

static void drl__pad_rows(const drl__conv_args *a, size_t first, int count, float *rows)
{
    int half = a->side / 2, c = a->c, h = a->h, w = a->w, n, r, k;
    int j = (int)(first % (size_t)w), i = (int)(first / (size_t)w % (size_t)h);
    for (; count > 0; count -= n, first += (size_t)n, j = 0, i = i + 1 == h ? 0 : i + 1) {
        n = drl__min(count, w - j);
        for (r = -half; r <= half; ++r) {
            const float *x = a->x + ((ptrdiff_t)first + (ptrdiff_t)r * w - half) * c;
            int length = (n + 2 * half) * c, from = j < half ? c : 0;
            int to = j + n + half > w ? length - c : length;
            if (i + r < 0 || i + r >= h) from = to = length;
            for (k = 0; k < from; ++k) rows[k] = 0;
            if (from < to) memcpy(rows + from, x + from, (size_t)(to - from) * sizeof *rows);
            for (k = to; k < length; ++k) rows[k] = 0;
            rows += length;
        }
    }
}

/* What a convolution does to its operands and results on the way, to save passes over memory.
 *   forward     y = act(gain * (product + bias + shift) + add), and the signs of act's operand
 *   gradient    y = start + act'(signs) * the product with gain * x */
typedef struct drl__fused {
    const float *shift;             /* [image][k] */
    const float *gain;              /* [k]; of a gradient [c] */
    const float *add;               /* like y; may be y */
    drl_act act;                    /* none, ReLU or leaky ReLU */
    uint8_t *bits_out;              /* forward: the signs */
    const uint8_t *bits;            /* gradient: the signs */
    float scale;                    /* of weights that are not packed */
} drl__fused;

/* Winograd's convolution: a tile of 4 x 4 results comes from 6 x 6 inputs by 36 products per pair of
 * channels. Tiles are numbered through all images; items are chunks of `chunk` tiles. */
typedef struct drl__winograd_args {
    const float *x, *packed;        /* packed: [36][as for a 1x1 convolution] */
    const float *bias, *zeros;      /* bias [k]; zeros as long as c and k */
    float *y, *scratch;
    size_t scratch_each, tiles;
    int h, w, c, k, chunk;
    int transposed;                 /* the gradient by the operand */
    int unpacked;                   /* packed holds weights as in files, to be multiplied by fused.scale */
    drl__fused fused;
    const float *dy;                /* parameter gradient, see drl__winograd_dw */
    float *u, *dweight;
    int stage;                      /* 0: transformed sums to u; 1: transformed back and added to dweight */
} drl__winograd_args;

/* Masks of a dropout. Every element takes 16 bits, so that one block of the generator serves eight elements.
 * The counter's top bits are set: drl__rng_u32 reaches no such counter, since positions are four times a
 * block. */
typedef struct drl__dropout_args {
    const drl_rng *rng;
    int number;                     /* of the operator */
    uint32_t drop;                  /* an element is dropped if its 16 bits are below this */
    size_t first, image;            /* first image's number in the batch; elements of an image */
    uint8_t *bits;
} drl__dropout_args;

/* Transforms weights, times scale, for Winograd's kernel; items are inputs. */

typedef struct drl__winograd_pack_args {
    const float *from;              /* [K,C,3,3] */
    float *to, scale;
    int out, in, transposed;
    int channels;                   /* C, of `from` */
} drl__winograd_pack_args;

/* Two kernels on the pixels (rows) of one image, with a mean per channel.
 * moments:   y[c] = sum over rows of (x[row][c] - mean[c]) * (dy ? dy[row][c] : x[row][c] - mean[c]),
 *            and with dy also sums[c] = sum over rows of dy[row][c], in the order of the kernel `columns`.
 *            Items are channels, and `begin` is 0.
 * normalize: y[row][c] = (x[row][c] - mean[c]) * gain[c] + shift[c], and with dy + dy[row][c] * dy_gain[c].
 *            Items are rows. */
typedef struct drl__norm_args {
    const float *x, *dy, *mean, *gain, *shift, *dy_gain;
    float *y, *sums;
    size_t rows, c;
    int accumulate;
} drl__norm_args;

/* Pixels whose attention to all others is computed together, so that it stays in the cache; a multiple of a
 * tile's rows. */
#define DRL__QUERIES 24

/* Items of the forward pass are [image][block of DRL__QUERIES pixels], those of the gradient images. */
typedef struct drl__attention_args {
    const float *qkv, *dy;
    float *y;                       /* or dqkv */
    float *scratch;                 /* per job scratch_each floats: keys, values, two blocks of scores */
    size_t scratch_each, tokens, c;
    float scale;
    int accumulate;
} drl__attention_args;

typedef struct drl__normals_args {
    uint64_t seed, stream, position;
    float *out;
} drl__normals_args;

/* Every kernel of this form, as X(with, name); tests count the calls of each. */
#define DRL__SPAN_KERNELS(X, with) \
    X(with, conv) X(with, conv_dw) X(with, into_few_channels) X(with, winograd) X(with, winograd_dw) \
    X(with, winograd_pack) X(with, act) X(with, act_grad) X(with, silu) X(with, silu_grad) X(with, affine) \
    X(with, columns) X(with, pool) X(with, spread) X(with, axpby) X(with, langevin) X(with, adam) \
    X(with, normals) X(with, moments) X(with, normalize) X(with, attention) X(with, attention_grad) \
    X(with, dropout)
#define DRL__SPAN_FIELD(type, name) type name;
#define DRL__SPAN_ENTRY(prefix, name) DRL__FN(prefix##name),

typedef struct drl__kernels {
    drl_isa isa;
    int vl, block, rows;            /* floats of a vector, outputs of a full tile, pixels of a full tile */
    DRL__SPAN_KERNELS(DRL__SPAN_FIELD, drl__span_fn)
    float (*dot16)(const float *a, const float *b, size_t n);
    double (*peak)(size_t rounds);  /* bench: multiply-adds in registers; returns their operations */
} drl__kernels;

#if defined(_MSC_VER) && !defined(__clang__)
#define DRL__INLINE static __forceinline
#define DRL__RARE   static __declspec(noinline)
#define DRL__ATTR(isa)
#define DRL__EACH(i, n) for (i = 0; i < (n); ++i)
#elif defined(__clang__)
#define DRL__INLINE static inline __attribute__((always_inline))
#define DRL__RARE   static __attribute__((noinline, cold))
#define DRL__ATTR(isa) __attribute__((target(isa)))
#define DRL__EACH(i, n) _Pragma("unroll") for (i = 0; i < (n); ++i)
#elif defined(__GNUC__)
#define DRL__INLINE static inline __attribute__((always_inline))
#define DRL__RARE   static __attribute__((noinline, cold))
#define DRL__ATTR(isa) __attribute__((target(isa)))
#define DRL__EACH(i, n) _Pragma("GCC unroll 16") for (i = 0; i < (n); ++i)
#else
#define DRL__INLINE static
#define DRL__RARE   static
#define DRL__ATTR(isa)
#define DRL__EACH(i, n) for (i = 0; i < (n); ++i)
#endif
#define DRL__JOIN2(a, b) a##_##b
#define DRL__JOIN(a, b)  DRL__JOIN2(a, b)
#define DRL__FN(name)    DRL__JOIN(name, DRL__ISA)

#if !defined(DRL_NO_SIMD) && (defined(__GNUC__) || defined(_MSC_VER)) && \
    (defined(__x86_64__) || defined(__i386__) || defined(_M_X64) || defined(_M_IX86))
#define DRL__X86 1
#include <immintrin.h>
#ifdef _MSC_VER
#include <intrin.h>
#else
#include <cpuid.h>
#endif
/* Other compilers need it only for tests, which define it: it costs compile time. */
#if !defined(DRL__FMA128) && defined(__MINGW32__) && !defined(__clang__)
#define DRL__FMA128 1
#endif
#elif !defined(DRL_NO_SIMD) && (defined(__aarch64__) || defined(_M_ARM64))
#define DRL__ARM64 1
#include <arm_neon.h>
#elif !defined(DRL_NO_SIMD) && defined(__wasm_simd128__)
#define DRL__WASM 1
#include <wasm_simd128.h>
#endif

/* FETCH asks for the cache line at an address, into the first-level cache, FETCH_FAR into the second. An
 * address without memory does no harm. PREFETCH(p), in a loop over an array, asks for the line DRL__AHEAD
 * bytes on: the activations of a training step fit no cache, and without it the gradient of SiLU takes about
 * twice as long. */
#define DRL__AHEAD 2048
#define DRL__LINE  16               /* floats of a cache line */
#if defined(__GNUC__) || defined(__clang__)
#define DRL__FETCH(address)     __builtin_prefetch((const void *)(address))
#define DRL__FETCH_FAR(address) __builtin_prefetch((const void *)(address), 0, 2)
#elif defined(DRL__X86)
#define DRL__FETCH(address)     _mm_prefetch((const char *)(address), _MM_HINT_T0)
#define DRL__FETCH_FAR(address) _mm_prefetch((const char *)(address), _MM_HINT_T1)
#else
#define DRL__FETCH(address)     ((void)(address))
#define DRL__FETCH_FAR(address) ((void)(address))
#endif
#define DRL__PREFETCH(p) DRL__FETCH((uintptr_t)(p) + DRL__AHEAD)

/* Asks for part number `part` of n floats that are divided into `parts`. */
DRL__INLINE void drl__fetch_part(const float *p, size_t n, size_t part, size_t parts)
{
    size_t lines = (n + DRL__LINE - 1) / DRL__LINE, each = (lines + parts - 1) / parts, i = part * each;
    size_t end = i + each < lines ? i + each : lines;
    for (; i < end; ++i) DRL__FETCH_FAR((uintptr_t)p + i * DRL__LINE * sizeof *p);
}

static float    drl__float_of(uint32_t u) { float x; memcpy(&x, &u, sizeof x); return x; }
static uint32_t drl__bits32(float x)      { uint32_t u; memcpy(&u, &x, sizeof u); return u; }

/* a * b + c with one rounding, as FMA instructions do it. Without them: the product is exact in double, and
 * the sum nearly so. Rounding the sum to float goes wrong only if the double lies halfway between two
 * floats, or is as small as denormal floats. drl__fmaf_odd then rounds to odd: the sum's error, known
 * exactly, moves the double one step off the middle [Boldo08]. */
#if defined(__FP_FAST_FMAF) || defined(__FMA__) || defined(__ARM_FEATURE_FMA)
#if defined(__GNUC__)
/* One instruction, even with -ffreestanding, where fmaf calls a function (29 times slower on a Cortex-M4). */
DRL__INLINE float drl__fmaf(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
#else
DRL__INLINE float drl__fmaf(float a, float b, float c) { return fmaf(a, b, c); }
#endif
#else
static float drl__fmaf_odd(double p, double c)
{
    double s = p + c, t = s - p, error = (p - (s - t)) + (c - t);
    uint64_t u = drl__bits64(s);
    if (error != 0 && !(u & 1)) u += (error > 0) == (s > 0) ? (uint64_t)1 : ~(uint64_t)0;
    return (float)drl__double_of(u);
}

DRL__INLINE float drl__fmaf(float a, float b, float c)
{
    double p = (double)a * (double)b, s = p + (double)c;
    uint64_t u;
    memcpy(&u, &s, sizeof u);       /* no function that a compiler could leave as a call */
    /* a sum of zero, frequent in training, is exact */
    if ((u & 0x1FFFFFFF) == 0x10000000 || (((u >> 52) & 0x7FF) < 1023 - 126 && u << 1))
        return drl__fmaf_odd(p, (double)c);
    return (float)s;
}
#endif

#define DRL__PASS 0
#include DRL_HEADER_NAME
#undef DRL__PASS
#ifdef DRL__X86
#define DRL__PASS 1
#include DRL_HEADER_NAME
#undef DRL__PASS
#define DRL__PASS 2
#include DRL_HEADER_NAME
#undef DRL__PASS
#define DRL__PASS 3
#include DRL_HEADER_NAME
#undef DRL__PASS
#ifdef DRL__FMA128
#define DRL__PASS 5
#include DRL_HEADER_NAME
#undef DRL__PASS
#endif
#endif
#ifdef DRL__ARM64
#define DRL__PASS 4
#include DRL_HEADER_NAME
#undef DRL__PASS
#endif
#ifdef DRL__WASM
#define DRL__PASS 6
#include DRL_HEADER_NAME
#undef DRL__PASS
#endif

#ifdef DRL__X86
static void drl__cpuid(unsigned leaf, unsigned out[4])
{
    out[0] = out[1] = out[2] = out[3] = 0;
#ifdef _MSC_VER
    {
        int r[4];
        __cpuid(r, 0);
        if ((unsigned)r[0] < leaf) return;
        __cpuidex(r, (int)leaf, 0);
        out[0] = (unsigned)r[0]; out[1] = (unsigned)r[1]; out[2] = (unsigned)r[2]; out[3] = (unsigned)r[3];
    }
#else
    if ((unsigned)__get_cpuid_max(0, NULL) >= leaf) __cpuid_count(leaf, 0, out[0], out[1], out[2], out[3]);
#endif
}

/* Registers that the operating system saves: bits 1 and 2 for AVX, also 5, 6 and 7 for AVX-512. To be asked
 * only where cpuid shows OSXSAVE. */
static unsigned drl__xcr0(void)
{
#ifdef _MSC_VER
    return (unsigned)_xgetbv(0);
#else
    unsigned low, high;
    __asm__ volatile (".byte 0x0f, 0x01, 0xd0" : "=a" (low), "=d" (high) : "c" (0));
    return low;
#endif
}

static int drl__cpu_has(drl_isa isa)
{
    unsigned one[4], seven[4], os;
    drl__cpuid(1, one);
    drl__cpuid(7, seven);
    os = (one[2] >> 27) & 1 ? drl__xcr0() : 0;
    switch (isa) {
    case DRL_ISA_SSE2:   return (int)(one[3] >> 26) & 1;
    /* FMA is encoded as AVX is, and needs its registers */
    case DRL_ISA_FMA128: return (os & 0x06) == 0x06 && ((one[2] >> 12) & 1);
    case DRL_ISA_AVX2:   return (os & 0x06) == 0x06 && ((one[2] >> 12) & 1) && ((seven[1] >> 5) & 1);
    case DRL_ISA_AVX512: return (os & 0xE6) == 0xE6 && ((seven[1] >> 16) & 1);
    default:             return 0;
    }
}
#endif

/* The kernels of a set, NULL if this build or this machine has none. */
static const drl__kernels *drl__kernels_of(drl_isa isa)
{
    if (isa == DRL_ISA_PORTABLE) return &DRL__JOIN(drl__table, portable);
#ifdef DRL__X86
    if (isa == DRL_ISA_SSE2   && drl__cpu_has(isa)) return &DRL__JOIN(drl__table, sse2);
#ifdef DRL__FMA128
    if (isa == DRL_ISA_FMA128 && drl__cpu_has(isa)) return &DRL__JOIN(drl__table, fma128);
#endif
    if (isa == DRL_ISA_AVX2   && drl__cpu_has(isa)) return &DRL__JOIN(drl__table, avx2);
    if (isa == DRL_ISA_AVX512 && drl__cpu_has(isa)) return &DRL__JOIN(drl__table, avx512);
#endif
#ifdef DRL__ARM64
    if (isa == DRL_ISA_NEON) return &DRL__JOIN(drl__table, neon);
#endif
#ifdef DRL__WASM
    if (isa == DRL_ISA_WASM) return &DRL__JOIN(drl__table, wasm);
#endif
    return NULL;
}

DRL_API const char *drl_isa_name(drl_isa isa)
{
    static const char *const names[] = {
        "auto", "portable", "sse2", "fma128", "avx2", "avx512", "neon", "wasm" };
    return (size_t)isa < DRL__COUNT(names) ? names[isa] : "unknown";
}

static drl_status drl__dispatch(drl_ctx *ctx, drl_isa wanted)
{
    const drl__kernels *kernels = NULL;
    int best = (int)DRL_ISA_WASM;
#if defined(__MINGW32__) && !defined(__clang__)
    best = (int)DRL_ISA_FMA128;     /* wider registers are stored to misaligned stack slots here */
#endif
    if (wanted == DRL_ISA_AUTO) for (; !kernels; --best) kernels = drl__kernels_of((drl_isa)best);
    else kernels = drl__kernels_of(wanted);
    if (!kernels)
        return drl__fail(ctx, DRL_E_UNSUPPORTED, "instruction set %s is not in this build or not on this "
                         "machine", drl_isa_name(wanted));
    ctx->kernels = kernels;
    ctx->isa = kernels->isa;
    return DRL_OK;
}

/* Splits items [0, total) into one range per thread, at multiples of `grain`. What a kernel computes for an
 * item does not depend on the range. */
typedef struct drl__split_args {
    drl__span_fn fn;
    const void *arg;
    size_t total, grain;
    int count;
} drl__split_args;

static void drl__split_job(void *arg, int index)
{
    const drl__split_args *s = (const drl__split_args *)arg;
    size_t grains = (s->total + s->grain - 1) / s->grain, count = (size_t)s->count, i = (size_t)index;
    size_t begin = (grains / count * i + grains % count * i / count) * s->grain;
    size_t end = (grains / count * (i + 1) + grains % count * (i + 1) / count) * s->grain;
    s->fn(s->arg, begin, end < s->total ? end : s->total, index);
}

static void drl__split(drl_ctx *ctx, size_t total, size_t grain, drl__span_fn fn, const void *arg)
{
    drl__split_args s;
    size_t grains = (total + grain - 1) / grain;
    s.fn = fn;
    s.arg = arg;
    s.total = total;
    s.grain = grain;
    s.count = ctx->in_jobs ? 1 : grains < (size_t)ctx->threads ? (int)grains : ctx->threads;
    if (s.count > 1) drl__parallel(ctx, s.count, drl__split_job, &s);
    else if (total) fn(arg, 0, total, 0);
}

DRL__CALL_VOID(drl_rng_normals,
    (drl_ctx *ctx, drl_rng *rng, float *out, size_t count),
    (ctx, rng, out, count))
{
    drl__normals_args a;
    if (!ctx || !rng || drl__bad_floats(out)) return;
    a.seed = rng->seed;
    a.stream = rng->stream;
    a.position = rng->position;
    a.out = out;
    drl__split(ctx, count, 8192, ctx->kernels->normals, &a);
    rng->position += count;
}

/* -----------------------------------------------------------------------------------------------------------
 * [tensor.impl] - sizes of tensors, and checks of the sizes that an operation expects.
 * -------------------------------------------------------------------------------------------------------- */
DRL_API drl_tensor drl_tensor_of(float *data, int n, int h, int w, int c)
{
    drl_tensor t;
    t.data = data;
    t.n = n;
    t.h = h;
    t.w = w;
    t.c = c;
    return t;
}

DRL_API size_t drl_tensor_count(const drl_tensor *t)
{
    size_t count = 0;
    if (!t || t->n < 1 || t->h < 1 || t->w < 1 || t->c < 1) return 0;
    if (!drl__mul_fits((size_t)t->n, (size_t)t->h, &count) ||
        !drl__mul_fits(count, (size_t)t->w, &count) ||
        !drl__mul_fits(count, (size_t)t->c, &count)) return 0;
    return count;
}

static size_t drl__pixels(const drl_tensor *t) { return (size_t)t->n * (size_t)t->h * (size_t)t->w; }

/* t must be n x h x w x c and have data; `what` names it in the sentence. */
static drl_status drl__expect(drl_ctx *ctx, const char *function, const char *what, const drl_tensor *t,
    int n, int h, int w, int c)
{
    if (!ctx || !t || !t->data) return drl__fail(ctx, DRL_E_ARGUMENT, "%s: %s is missing", function, what);
    if (drl__misaligned(t->data))
        return drl__fail(ctx, DRL_E_ARGUMENT, "%s: the data of %s is not aligned as floats are", function,
                         what);
    if (!drl_tensor_count(t) || t->n != n || t->h != h || t->w != w || t->c != c)
        return drl__fail(ctx, DRL_E_SHAPE, "%s: %s is %dx%dx%dx%d, expected %dx%dx%dx%d (images, rows, "
                         "columns, channels)", function, what, t->n, t->h, t->w, t->c, n, h, w, c);
    return DRL_OK;
}

/* Source and result of a convolution may not overlap: it reads the one after it has begun to write the other.
 * Both have passed drl__expect. */
static drl_status drl__expect_apart(drl_ctx *ctx, const char *function, const drl_tensor *source,
    const drl_tensor *result)
{
    uintptr_t from = (uintptr_t)source->data, to = (uintptr_t)result->data;
    if (from < to + drl_tensor_count(result) * sizeof(float) &&
        to < from + drl_tensor_count(source) * sizeof(float))
        return drl__fail(ctx, DRL_E_ARGUMENT, "%s: source and result share memory", function);
    return DRL_OK;
}

/* -----------------------------------------------------------------------------------------------------------
 * [conv.impl] - which kernel does which pass, packing, and scratch. 3x3 kernels use Winograd's algorithm if
 * the description asks for it (for layers of a network drl__winograd_choice decides). Otherwise the passes
 * are products of packed weights and pixels, except:
 *   few input channels     the three taps of a row, copied side by side, count as one tap (drl__pad_rows)
 *   input gradient of few  each element is one sum over taps and outputs, along which the vectors go
 *     input channels         (drl__into_few_channels)
 *   parameter gradient     is summed in the order of packed weights, and then added to dweight
 * -------------------------------------------------------------------------------------------------------- */
#define DRL__ROUND16(n) drl__round_up((size_t)(n), 16)

/* The definition: each number of y is one chain of fused multiply-adds in this order. Without Winograd's
 * algorithm, fused instruction sets agree with it to the bit, which tests/test_ops.c checks. */
#ifdef DRL__DEFINITIONS
static void drl__plain_conv2d(int n, int h, int w, int c, int k, int side, const float *x,
    const float *weight, const float *bias, float *y)
{
    int image, i, j, o, r, s, in, half = side / 2;
    for (image = 0; image < n; ++image)
    for (i = 0; i < h; ++i) for (j = 0; j < w; ++j) for (o = 0; o < k; ++o) {
        float sum = bias[o];
        for (r = 0; r < side; ++r) for (s = 0; s < side; ++s) for (in = 0; in < c; ++in) {
            int row = i + r - half, column = j + s - half;
            int inside = row >= 0 && row < h && column >= 0 && column < w;
            sum = drl__fmaf(inside ? x[((image * h + row) * w + column) * c + in] : 0.0f,
                            weight[((o * c + in) * side + r) * side + s], sum);
        }
        y[((image * h + i) * w + j) * k + o] = sum;
    }
}
#endif

static int drl__side(const drl_conv2d_desc *d) { return d->kernel ? d->kernel : 3; }
/* Whether the input gradient has a kernel of its own, for few input channels. */
static int drl__into_few_channels(const drl_conv2d_desc *d)
{ return !d->winograd && drl__side(d) == 3 && d->in_channels <= 4; }

/* What drl__conv_args.joined_taps is in the forward pass, and in the parameter gradient. */
static int drl__joined_taps(const drl_conv2d_desc *d)
{ return !d->winograd && drl__side(d) == 3 && d->in_channels < DRL__MR_MAX; }

static int drl__joined_taps_dw(const drl_conv2d_desc *d)
{
    int side = drl__side(d);
    return d->in_channels < DRL__MR_MAX ? drl__max(DRL__MR_MAX, side * side * d->in_channels) : 0;
}

/* Weights as the kernels see them: `out` outputs from taps * in inputs. Transposed ones are those of the
 * gradient by the operand. drl__weight_at says where element (o, t, i) is in the [K,C,R,S] array. */
typedef struct drl__weight {
    int out, taps, in;
    int transposed;
    int channels;                   /* C */
} drl__weight;

static drl__weight drl__weight_of(const drl_conv2d_desc *d, int transposed)
{
    drl__weight v;
    v.transposed = transposed;
    v.taps = drl__side(d) * drl__side(d);
    v.in = transposed ? d->out_channels : d->in_channels;
    v.out = transposed ? d->in_channels : d->out_channels;
    v.channels = d->in_channels;
    return v;
}

static size_t drl__weight_at(const drl__weight *v, int o, int t, int i)
{
    size_t channels = (size_t)v->channels;
    if (v->transposed)
        return ((size_t)i * channels + (size_t)o) * (size_t)v->taps + (size_t)(v->taps - 1 - t);
    return ((size_t)o * channels + (size_t)i) * (size_t)v->taps + (size_t)t;
}

/* From the [K,C,R,S] array to packed weights, or from the packed gradient, added, to the array. Items are
 * inputs. */
typedef struct drl__pack_args {
    drl__weight v;
    int vl, block;
    int width;                      /* 0, or taps * in of few channels, see drl__conv_args */
    const float *from;
    float *to, scale;
    int add;                        /* from packed to the array: added there, without the scale */
} drl__pack_args;

static void drl__pack_span(const void *arg, size_t begin, size_t end, int job)
{
    const drl__pack_args *a = (const drl__pack_args *)arg;
    const drl__weight *v = &a->v;
    int k0, t, o;
    size_t i, depth = a->width ? (size_t)a->width : (size_t)v->taps * (size_t)v->in;
    (void)job;
    for (k0 = 0; k0 < v->out; k0 += a->block) {
        int k = drl__min(v->out - k0, a->block), bw = (int)drl__round_up((size_t)k, (size_t)a->vl);
        for (i = begin; i < end; ++i) for (t = 0; t < v->taps; ++t) {
            size_t at = (size_t)k0 * depth + ((size_t)t * (size_t)v->in + i) * (size_t)bw;
            if (a->add) for (o = 0; o < k; ++o)
                a->to[drl__weight_at(v, k0 + o, t, (int)i)] += a->from[at + (size_t)o];
            else for (o = 0; o < bw; ++o)
                a->to[at + (size_t)o] = o < k ? a->scale * a->from[drl__weight_at(v, k0 + o, t, (int)i)] : 0;
        }
    }
}

static size_t drl__packed_floats(const drl_ctx *ctx, int out, size_t depth)
{ return depth * drl__round_up((size_t)out, (size_t)ctx->kernels->vl); }

#define DRL__SIDE_MAX (1 << 24)     /* sides and channels: sums with them, and small multiples, fit an int */

/* Fails unless the description is possible, and its weights, packed or not, can be addressed. */
static drl_status drl__conv_valid(drl_ctx *ctx, const char *who, const drl_conv2d_desc *d)
{
    size_t n, taps;                                             /* taps: packed floats per weight */
    if (!d) return drl__fail(ctx, DRL_E_ARGUMENT, "%s: the description is NULL", who);
    if (drl__zeroed(ctx, "drl_conv2d_desc", d->canary) != DRL_OK) return DRL_E_ARGUMENT;
    if (d->in_channels < 1 || d->in_channels > DRL__SIDE_MAX)
        return drl__fail(ctx, DRL_E_ARGUMENT, "%s: in_channels is %d; 1 to %d are possible",
                         who, d->in_channels, DRL__SIDE_MAX);
    if (d->out_channels < 1 || d->out_channels > DRL__SIDE_MAX)
        return drl__fail(ctx, DRL_E_ARGUMENT, "%s: out_channels is %d; 1 to %d are possible",
                         who, d->out_channels, DRL__SIDE_MAX);
    if (d->kernel != 0 && d->kernel != 1 && d->kernel != 3)
        return drl__fail(ctx, DRL_E_ARGUMENT, "%s: kernel is %d; 3 (or 0 for 3) and 1 are possible",
                         who, d->kernel);
    if ((unsigned)d->winograd > 2)
        return drl__fail(ctx, DRL_E_ARGUMENT, "%s: winograd is %d; 0 to 2 are possible", who, d->winograd);
    if (d->winograd && d->kernel == 1)
        return drl__fail(ctx, DRL_E_ARGUMENT, "%s: winograd is %d with kernel 1; it needs kernel 3",
                         who, d->winograd);
    taps = d->kernel == 1 ? 1 : d->winograd ? 36 : 9;
    if (!drl__mul_fits((size_t)d->in_channels + 64, (size_t)d->out_channels + 64, &n) ||
        !drl__mul_fits(n, taps * sizeof(float), &n))
        return drl__fail(ctx, DRL_E_ARGUMENT, "%s: weights of %d x %d channels do not fit the address space",
                         who, d->in_channels, d->out_channels);
    return DRL_OK;
}

DRL_API size_t drl_conv2d_packed_count(const drl_ctx *ctx, const drl_conv2d_desc *d, int transposed)
{
    drl__weight v;
    if (!ctx || drl__conv_valid(NULL, "", d) != DRL_OK) return 0;
    v = drl__weight_of(d, transposed);
    if (d->winograd == 2) return 0;
    if (d->winograd) return 36 * drl__packed_floats(ctx, v.out, (size_t)v.in);
    if (transposed && drl__into_few_channels(d)) return (size_t)(9 * v.out) * DRL__ROUND16(v.in);
    return drl__packed_floats(ctx, v.out, (size_t)v.taps * (size_t)v.in);
}

DRL__CALL_VOID(drl_conv2d_pack,
    (drl_ctx *ctx, const drl_conv2d_desc *d, int transposed, const float *weight, float scale, float *packed),
    (ctx, d, transposed, weight, scale, packed))
{
    drl__pack_args a;
    if (!ctx || drl__conv_valid(NULL, "", d) != DRL_OK) return;
    if (drl__bad_floats(weight) || drl__bad_floats(packed)) return;
    if (d->winograd == 2) return;
    a.v = drl__weight_of(d, transposed);
    if (d->winograd) {
        drl__winograd_pack_args u;
        u.from = weight;
        u.to = packed;
        u.scale = scale;
        u.out = a.v.out;
        u.in = a.v.in;
        u.transposed = transposed;
        u.channels = d->in_channels;
        drl__split(ctx, (size_t)u.in, 1 + DRL__GRAIN / (36 * (size_t)u.out), ctx->kernels->winograd_pack, &u);
        return;
    }
    if (transposed && drl__into_few_channels(d)) {          /* [c][tap][k], zeros up to a multiple of 16 */
        size_t width = DRL__ROUND16(a.v.in), i;
        int o, t;
        for (o = 0; o < a.v.out; ++o) for (t = 0; t < 9; ++t, packed += width)
            for (i = 0; i < width; ++i)
                packed[i] = i < (size_t)a.v.in ? scale * weight[drl__weight_at(&a.v, o, t, (int)i)] : 0;
        return;
    }
    a.vl = ctx->kernels->vl;
    a.block = ctx->kernels->block;
    a.width = 0;
    a.from = weight;
    a.to = packed;
    a.scale = scale;
    a.add = 0;
    drl__split(ctx, (size_t)a.v.in, 1 + DRL__GRAIN / ((size_t)a.v.taps * (size_t)a.v.out),
               drl__pack_span, &a);
}

/* Scratch of each pass, in floats; every part begins on a multiple of 16. */

static size_t drl__zeros_floats(const drl_conv2d_desc *d)
{ return DRL__ROUND16(drl__max(9 * DRL__MR_MAX, drl__max(d->in_channels, d->out_channels))); }

static size_t drl__dw_floats(const drl_ctx *ctx, const drl_conv2d_desc *d)
{
    int joined_taps = drl__joined_taps_dw(d), side = drl__side(d);
    size_t depth = joined_taps ? (size_t)joined_taps : (size_t)(side * side) * (size_t)d->in_channels;
    return DRL__ROUND16(drl__packed_floats(ctx, d->out_channels, depth));
}

static size_t drl__dw_job_floats(const drl_ctx *ctx, const drl_conv2d_desc *d, int w)
{
    int joined_taps = drl__joined_taps_dw(d);
    size_t pixels = (size_t)drl__dw_chunk(w, joined_taps || drl__side(d) == 1);
    return DRL__ROUND16(pixels * (size_t)(ctx->kernels->block + joined_taps));
}

static size_t drl__winograd_tiles(int n, int h, int w)
{ return (size_t)n * (size_t)((h + 3) / 4) * (size_t)((w + 3) / 4); }

/* Most tiles of a chunk, which are transformed together. Many are better, since each chunk reads all
 * weights, and transforms those that are not packed; but inputs and products of a chunk should stay in the
 * second-level cache. */
static size_t drl__winograd_max_tiles(const drl_conv2d_desc *d)
{
    size_t most = ((size_t)1 << 20) / (144 * ((size_t)d->in_channels + (size_t)d->out_channels));
    return most > DRL__CHUNK || d->winograd == 2 ? DRL__CHUNK : most < DRL__CHUNK / 2 ? DRL__CHUNK / 2 : most;
}

/* Whether the parameter gradient is Winograd's, too: that needs a full tile of inputs. */
static int drl__winograd_has_dw(const drl_conv2d_desc *d)
{ return d->winograd && d->in_channels >= DRL__MR_MAX; }

/* Tiles of a chunk, where every one of `jobs` threads gets at least one chunk. */
static int drl__winograd_chunk(const drl_ctx *ctx, const drl_conv2d_desc *d, size_t tiles, int jobs)
{
    size_t most = drl__winograd_max_tiles(d), chunks = (tiles + most - 1) / most;
    if (chunks < (size_t)jobs) chunks = (size_t)jobs;
    return (int)drl__round_up((tiles + chunks - 1) / chunks, (size_t)ctx->kernels->rows);
}

/* Floats of one chunk: 36 planes of its inputs, and 36 of `out` results. Each plane is a cache line longer
 * than its data, or all planes would compete for the same lines of the cache. */
static size_t drl__winograd_planes(int chunk, size_t in, size_t out)
{ return 36 * ((size_t)chunk * (in + out) + 2 * DRL__LANES); }

/* Floats of one chunk in the forward pass and the gradient by the operand, which make one block of outputs
 * at a time. */
static size_t drl__winograd_floats(const drl_ctx *ctx, const drl_conv2d_desc *d, int chunk)
{
    size_t block = (size_t)ctx->kernels->block;
    size_t weights = d->winograd == 2 ? 36 * (DRL__DEPTH * block + DRL__LANES) : 0;
    return drl__winograd_planes(chunk, (size_t)drl__max(d->in_channels, d->out_channels), block) + weights;
}

/* Scratch for at most `jobs` threads; with or without the parameter gradient. The sum has 64 bits on every
 * machine: one thread's share fits a size_t, and that of all threads may not. */
static uint64_t drl__conv_work(const drl_ctx *ctx, const drl_conv2d_desc *d, int n, int h, int w, int jobs,
    int trains)
{
    size_t tiles = drl__winograd_tiles(n, h, w), longest = drl__winograd_max_tiles(d);
    uint64_t threads = (uint64_t)jobs, most, floats;
    /* the longest chunk of any batch up to n: fewer images may have longer chunks than n have */
    int chunk = (int)drl__round_up(tiles < longest ? tiles : longest, (size_t)ctx->kernels->rows);
    most = drl__zeros_floats(d)
         + threads * DRL__ROUND16(DRL__CHUNK * 9 * (drl__joined_taps(d) ? d->in_channels : 0));
    if (d->winograd) {
        floats = drl__zeros_floats(d) + threads * drl__winograd_floats(ctx, d, chunk);
        if (floats > most) most = floats;
    }
    if (trains && drl__winograd_has_dw(d)) {
        size_t in = (size_t)d->in_channels;
        floats = (uint64_t)drl__zeros_floats(d) + 36 * drl__packed_floats(ctx, d->out_channels, in)
               + drl__winograd_planes(chunk, in, drl__packed_floats(ctx, d->out_channels, 1));
        if (floats < DRL__ROUND16((size_t)n * (size_t)d->out_channels))
            floats = DRL__ROUND16((size_t)n * (size_t)d->out_channels);
        return floats > most ? floats : most;
    }
    if (!trains) return most;
    floats = (uint64_t)drl__dw_floats(ctx, d) + DRL__ROUND16((size_t)n * (size_t)d->out_channels)
           + threads * drl__dw_job_floats(ctx, d, w);
    return floats > most ? floats : most;
}

static int drl__conv_images_fit(const drl_conv2d_desc *d, int n, int h, int w)
{
    size_t bytes;
    size_t pixel = sizeof(float) * (size_t)drl__max(d->in_channels, d->out_channels);
    return n >= 1 && n <= INT32_MAX - DRL__THREADS_MAX &&
           h >= 1 && h <= DRL__SIDE_MAX &&
           w >= 1 && w <= DRL__SIDE_MAX &&
           drl__mul_fits((size_t)n, (size_t)h, &bytes) &&
           drl__mul_fits(bytes, (size_t)w, &bytes) &&
           drl__mul_fits(bytes, pixel, &bytes);
}

DRL_API size_t drl_conv2d_work_count(const drl_ctx *ctx, const drl_conv2d_desc *d, int n, int h, int w)
{
    uint64_t floats;
    if (!ctx || drl__conv_valid(NULL, "", d) != DRL_OK || !drl__conv_images_fit(d, n, h, w)) return 0;
    floats = drl__conv_work(ctx, d, n, h, w, ctx->threads, 1);
    return floats <= DRL__FLOATS_MAX ? (size_t)floats : 0;
}

/* The rules of all three passes; in and out have the channels of the forward pass. */
static drl_status drl__conv_check(drl_ctx *ctx, const char *function, const drl_conv2d_desc *d,
    const drl_tensor *in, const drl_tensor *out, const float *weight, const float *bias, const float *work)
{
    drl_status status = drl__conv_valid(ctx, function, d);
    if (status != DRL_OK) return status;
    if (!in || !out || !work || !weight)
        return drl__fail(ctx, DRL_E_ARGUMENT, "%s: an argument is NULL", function);
    if (drl__misaligned(work) || drl__misaligned(weight) || drl__misaligned(bias))
        return drl__fail(ctx, DRL_E_ARGUMENT, "%s: an argument is not aligned as floats are", function);
    status = drl__expect(ctx, function, "the input side", in, in->n, in->h, in->w, d->in_channels);
    if (status == DRL_OK)
        status = drl__expect(ctx, function, "the output side", out, in->n, in->h, in->w, d->out_channels);
    if (status == DRL_OK && !drl__conv_images_fit(d, in->n, in->h, in->w))
        status = drl__fail(ctx, DRL_E_SHAPE, "%s: %d images of %d x %d are too many or too large", function,
                           in->n, in->h, in->w);
    return status;
}

static drl__conv_args drl__conv_args_of(const drl_tensor *from, const drl_tensor *to, int side,
    const float *packed, const float *zeros)
{
    drl__conv_args a;
    a.x = from->data;
    a.packed = packed;
    a.start = a.zeros = zeros;
    a.dy = NULL;
    a.y = to->data;
    a.scratch = NULL;
    a.scratch_each = a.start_step = 0;
    a.pixels = drl__pixels(from);
    a.h = from->h;
    a.w = from->w;
    a.c = from->c;
    a.k = to->c;
    a.side = side;
    a.joined_taps = 0;
    return a;
}

static size_t drl__conv_items(const drl_ctx *ctx, const drl__conv_args *a)
{
    size_t block = (size_t)ctx->kernels->block;
    return (a->pixels + DRL__CHUNK - 1) / DRL__CHUNK * (((size_t)a->k + block - 1) / block);
}

static drl__fused drl__fused_none(void)
{
    drl__fused f;
    memset(&f, 0, sizeof f);
    f.scale = 1;
    return f;
}

/* y = the convolution of x: the forward pass; or, transposed, the gradient by the operand, with x = dy and y
 * = dx. */
static void drl__winograd_run(drl_ctx *ctx, const drl_conv2d_desc *d, int transposed, const drl_tensor *x,
    const float *packed, const float *bias, const drl__fused *fused, const drl_tensor *y, float *work)
{
    drl__winograd_args a;
    memset(&a, 0, sizeof a);
    a.fused = *fused;
    a.transposed = transposed;
    a.unpacked = d->winograd == 2;
    a.x = x->data;
    a.packed = packed;
    a.zeros = work;
    a.bias = bias ? bias : work;
    a.y = y->data;
    a.h = x->h;
    a.w = x->w;
    a.c = x->c;
    a.k = y->c;
    a.tiles = drl__winograd_tiles(x->n, x->h, x->w);
    a.chunk = drl__winograd_chunk(ctx, d, a.tiles, ctx->in_jobs ? 1 : ctx->threads);
    a.scratch = work + drl__zeros_floats(d);
    a.scratch_each = drl__winograd_floats(ctx, d, a.chunk);
    memset(work, 0, drl__zeros_floats(d) * sizeof *work);
    drl__split(ctx, (a.tiles + (size_t)a.chunk - 1) / (size_t)a.chunk, 1, ctx->kernels->winograd, &a);
}

static void drl__conv_forward(drl_ctx *ctx, const drl_conv2d_desc *d, const drl_tensor *x,
    const float *packed, const float *bias, const drl__fused *fused, const drl_tensor *y, float *work)
{
    drl__conv_args a;
    if (d->winograd) {
        drl__winograd_run(ctx, d, 0, x, packed, bias, fused, y, work);
        return;
    }
    memset(work, 0, drl__zeros_floats(d) * sizeof *work);
    a = drl__conv_args_of(x, y, drl__side(d), packed, work);
    if (bias) a.start = bias;
    a.joined_taps = drl__joined_taps(d);
    a.scratch = work + drl__zeros_floats(d);
    a.scratch_each = a.joined_taps ? DRL__ROUND16(DRL__CHUNK * 9 * a.c) : 0;
    drl__split(ctx, drl__conv_items(ctx, &a), 1, ctx->kernels->conv, &a);
}

DRL__CALL(drl_status, drl_conv2d_forward,
    (drl_ctx *ctx, const drl_conv2d_desc *d, const drl_tensor *x, const float *packed, const float *bias,
     drl_tensor *y, float *work),
    (ctx, d, x, packed, bias, y, work))
{
    const drl__fused nothing = drl__fused_none();
    drl_status status = drl__conv_check(ctx, "drl_conv2d_forward", d, x, y, packed, bias, work);
    if (status == DRL_OK) status = drl__expect_apart(ctx, "drl_conv2d_forward", x, y);
    if (status == DRL_OK) drl__conv_forward(ctx, d, x, packed, bias, &nothing, y, work);
    return status;
}

static void drl__conv_input_grad(drl_ctx *ctx, const drl_conv2d_desc *d, const drl_tensor *dy,
    const float *packed_transposed, const drl__fused *fused, const drl_tensor *dx, int accumulate,
    float *work)
{
    drl__conv_args a;
    if (d->winograd) {
        drl__fused f = *fused;
        if (accumulate) f.add = dx->data;
        drl__winograd_run(ctx, d, 1, dy, packed_transposed, NULL, &f, dx, work);
        return;
    }
    memset(work, 0, drl__zeros_floats(d) * sizeof *work);
    a = drl__conv_args_of(dy, dx, drl__side(d), packed_transposed, work);
    if (accumulate) { a.start = dx->data; a.start_step = (size_t)dx->c; }
    if (drl__into_few_channels(d))
        drl__split(ctx, a.pixels, 1 + DRL__GRAIN / (9 * (size_t)a.c), ctx->kernels->into_few_channels, &a);
    else drl__split(ctx, drl__conv_items(ctx, &a), 1, ctx->kernels->conv, &a);
}

DRL__CALL(drl_status, drl_conv2d_input_grad,
    (drl_ctx *ctx, const drl_conv2d_desc *d, const drl_tensor *dy, const float *packed_transposed,
     drl_tensor *dx, int accumulate, float *work),
    (ctx, d, dy, packed_transposed, dx, accumulate, work))
{
    const drl__fused nothing = drl__fused_none();
    drl_status status = drl__conv_check(ctx, "drl_conv2d_input_grad", d, dx, dy, packed_transposed, NULL,
                                        work);
    if (status == DRL_OK) status = drl__expect_apart(ctx, "drl_conv2d_input_grad", dy, dx);
    if (status == DRL_OK) drl__conv_input_grad(ctx, d, dy, packed_transposed, &nothing, dx, accumulate, work);
    return status;
}

/* out[c] (+)= scale * sum over the rows of each image of a * (b, u or 1): see drl__columns_args. */
static void drl__columns(drl_ctx *ctx, const float *a, const float *b, const float *u, size_t images,
    size_t rows, size_t c, float scale, float *out, int accumulate)
{
    drl__columns_args k;
    k.a = a;
    k.b = b;
    k.u = u;
    k.out = out;
    k.rows = rows;
    k.c = c;
    k.images = images;
    k.scale = scale;
    k.accumulate = accumulate;
    drl__split(ctx, images * ((c + 63) / 64), 1 + DRL__GRAIN / (rows * 64), ctx->kernels->columns, &k);
}

static void drl__winograd_param_grad(drl_ctx *ctx, const drl_conv2d_desc *d, const drl_tensor *x,
    const drl_tensor *dy, float *dweight, float *work)
{
    size_t sums = 36 * drl__packed_floats(ctx, d->out_channels, (size_t)d->in_channels);
    drl__winograd_args a;
    memset(&a, 0, sizeof a);
    a.x = x->data;
    a.dy = dy->data;
    a.dweight = dweight;
    a.zeros = work;
    a.u = work + drl__zeros_floats(d);
    a.scratch = a.u + sums;
    a.h = x->h;
    a.w = x->w;
    a.c = x->c;
    a.k = dy->c;
    a.tiles = drl__winograd_tiles(x->n, x->h, x->w);
    a.chunk = drl__winograd_chunk(ctx, d, a.tiles, 1);
    memset(work, 0, (drl__zeros_floats(d) + sums) * sizeof *work);
    drl__split(ctx, 6, 1 + DRL__GRAIN_FMA / (6 * a.tiles * (size_t)a.c * (size_t)a.k),
               ctx->kernels->winograd_dw, &a);
    a.stage = 1;
    drl__split(ctx, (size_t)a.c, 1 + DRL__GRAIN / (36 * (size_t)a.k), ctx->kernels->winograd_dw, &a);
}

/* Adds the gradient by the weights of all images. */
static void drl__conv_param_grad(drl_ctx *ctx, const drl_conv2d_desc *d, const drl_tensor *x,
    const drl_tensor *dy, float *dweight, float *work)
{
    const drl__kernels *kernels = ctx->kernels;
    drl__conv_args a;
    drl__pack_args p;
    size_t groups;
    if (drl__winograd_has_dw(d)) {
        drl__winograd_param_grad(ctx, d, x, dy, dweight, work);
        return;
    }
    memset(work, 0, drl__dw_floats(ctx, d) * sizeof *work);
    a = drl__conv_args_of(x, dy, drl__side(d), NULL, NULL);
    a.dy = dy->data;
    a.y = work;
    a.joined_taps = drl__joined_taps_dw(d);
    a.scratch = work + drl__dw_floats(ctx, d);
    a.scratch_each = drl__dw_job_floats(ctx, d, x->w);
    groups = a.joined_taps ? (size_t)((a.joined_taps + kernels->rows - 1) / kernels->rows)
                   : (size_t)(a.side * a.side) * (size_t)((a.c + kernels->rows - 1) / kernels->rows);
    drl__split(ctx, groups * (((size_t)a.k + (size_t)kernels->block - 1) / (size_t)kernels->block),
               1 + DRL__GRAIN_FMA / (a.pixels * (size_t)kernels->rows * (size_t)kernels->block),
               kernels->conv_dw, &a);
    p.v = drl__weight_of(d, 0);
    p.vl = kernels->vl;
    p.block = kernels->block;
    p.width = a.joined_taps;
    p.from = work;
    p.to = dweight;
    p.add = 1;
    drl__split(ctx, (size_t)p.v.in, 1 + DRL__GRAIN / ((size_t)p.v.taps * (size_t)p.v.out),
               drl__pack_span, &p);
}

DRL__CALL(drl_status, drl_conv2d_param_grad,
    (drl_ctx *ctx, const drl_conv2d_desc *d, const drl_tensor *x, const drl_tensor *dy, float *dweight,
     float *dbias, float *work),
    (ctx, d, x, dy, dweight, dbias, work))
{
    drl_status status = drl__conv_check(ctx, "drl_conv2d_param_grad", d, x, dy, dweight, dbias, work);
    if (status != DRL_OK) return status;
    drl__conv_param_grad(ctx, d, x, dy, dweight, work);
    if (!dbias) return DRL_OK;
    /* each image's part, then their sum */
    drl__columns(ctx, dy->data, NULL, NULL, (size_t)dy->n, (size_t)dy->h * (size_t)dy->w, (size_t)dy->c, 1,
                 work, 0);
    drl__columns(ctx, work, NULL, NULL, 1, (size_t)dy->n, (size_t)dy->c, 1, dbias, 1);
    return DRL_OK;
}

/* -----------------------------------------------------------------------------------------------------------
 * [vectors] - one pass over long vectors: sums, inner products, power iteration, Langevin and Adam
 * updates. Work is split over threads by elements, rows or columns; never inside a sum.
 * -------------------------------------------------------------------------------------------------------- */

/* Rows of c floats that make about DRL__GRAIN elements. */
static size_t drl__row_grain(size_t c) { return (DRL__GRAIN + c - 1) / c; }

/* out = a x + b y; y may be NULL, out may be x or y. */
static void drl__axpby(drl_ctx *ctx, size_t n, float a, const float *x, float b, const float *y, float *out)
{
    drl__map_args m;
    memset(&m, 0, sizeof m);
    m.a = x;
    m.b = y;
    m.y = out;
    m.s[0] = a;
    m.s[1] = b;
    drl__split(ctx, n, DRL__GRAIN, ctx->kernels->axpby, &m);
}

/* y (+)= x; x may be y where nothing is added. */
static void drl__copy(drl_ctx *ctx, size_t n, const float *x, float *y, int accumulate)
{
    if (accumulate) drl__axpby(ctx, n, 1, y, 1, x, y);
    else if (x != y) memcpy(y, x, n * sizeof *y);
}

/* Sum of a[i] * b[i] with DRL__LANES partial sums, on one thread. */
static float drl__dot16(const drl_ctx *ctx, const float *a, const float *b, size_t n)
{ return ctx->kernels->dot16(a, b, n); }

/* The Langevin update of one image, inside a job, so that it is not split: see drl__langevin_kernel_args. */
static void drl__langevin_update(drl_ctx *ctx, size_t n, float *y, const float *x_next, const float *grad,
    const float *eps, float grad_scale, float next_scale, float noise_scale)
{
    drl__langevin_kernel_args a;
    a.x_next = x_next;
    a.grad = grad;
    a.eps = eps;
    a.y = y;
    a.grad_scale = grad_scale;
    a.next_scale = next_scale;
    a.noise_scale = noise_scale;
    ctx->kernels->langevin(&a, 0, n, 0);
}

/* One pass of Adam: see drl__adam_args. */
static void drl__adam_update(drl_ctx *ctx, size_t n, float *p, const float *grad, float *m, float *v,
    float *ema, float grad_scale, float beta1, float beta2, float step_size, float inv_sqrt_bc2, float eps,
    float ema_decay)
{
    drl__adam_args a;
    a.grad = grad;
    a.p = p;
    a.m = m;
    a.v = v;
    a.ema = ema;
    a.grad_scale = grad_scale;
    a.beta1 = beta1;
    a.beta2 = beta2;
    a.step_size = step_size;
    a.inv_sqrt_bc2 = inv_sqrt_bc2;
    a.eps = eps;
    a.ema_decay = ema_decay;
    drl__split(ctx, n, DRL__GRAIN, ctx->kernels->adam, &a);
}

/* A long inner product: dot16 of pieces of 1024, added in double; 64 segments, whatever the number of
 * threads. */
#define DRL__SEGMENTS 64
typedef struct drl__dot_args {
    const drl_ctx *ctx;
    const float *a, *b;
    size_t n, each;                 /* each: elements of a segment */
    double *sums;
} drl__dot_args;

static void drl__dot_span(const void *arg, size_t begin, size_t end, int job)
{
    const drl__dot_args *d = (const drl__dot_args *)arg;
    size_t segment, i, last;
    (void)job;
    for (segment = begin; segment < end; ++segment) {
        double sum = 0;
        i = segment * d->each;
        last = d->n - i < d->each ? d->n : i + d->each;
        for (; i < last; i += 1024)
            sum += (double)drl__dot16(d->ctx, d->a + i, d->b + i, last - i < 1024 ? last - i : 1024);
        d->sums[segment] = sum;
    }
}

static double drl__dot(drl_ctx *ctx, size_t n, const float *a, const float *b)
{
    double sums[DRL__SEGMENTS], sum = 0;
    drl__dot_args d;
    size_t i, segments;
    if (!n) return 0;
    d.ctx = ctx;
    d.a = a;
    d.b = b;
    d.n = n;
    d.each = drl__round_up((n + DRL__SEGMENTS - 1) / DRL__SEGMENTS, 1024);
    d.sums = sums;
    segments = (n + d.each - 1) / d.each;
    drl__split(ctx, segments, 1 + DRL__GRAIN / d.each, drl__dot_span, &d);
    for (i = 0; i < segments; ++i) sum += sums[i];
    return sum;
}

static double drl__sum_squares(drl_ctx *ctx, size_t n, const float *x) { return drl__dot(ctx, n, x, x); }

/* Whether n numbers are finite, and their squares can be summed. */
static int drl__all_finite(drl_ctx *ctx, size_t n, const float *x)
{ return drl__sum_squares(ctx, n, x) < 1e30; }

/* u = W v, row by row. */
typedef struct drl__rows_args {
    const drl_ctx *ctx;
    const float *w, *v;
    float *u;
    size_t cols;
} drl__rows_args;

static void drl__rows_span(const void *arg, size_t begin, size_t end, int job)
{
    const drl__rows_args *a = (const drl__rows_args *)arg;
    size_t i;
    (void)job;
    for (i = begin; i < end; ++i) a->u[i] = drl__dot16(a->ctx, a->w + i * a->cols, a->v, a->cols);
}

/* Divides x by its length, and returns the length; a zero vector stays zero. */
static double drl__normalize(drl_ctx *ctx, size_t n, float *x)
{
    double norm = sqrt(drl__sum_squares(ctx, n, x));
    if (norm > 0) drl__axpby(ctx, n, (float)(1 / norm), x, 0, NULL, x);
    return norm;
}

/* Power iteration on W [rows, cols]; the estimates u [rows], v [cols] are updated in place,
 * v <- W'u / |W'u|, u <- Wv / |Wv|, `iterations` times (0: as they are); returns u' W v. [Miyato18] */
static float drl__spectral_norm(drl_ctx *ctx, const float *w, int rows, int cols, float *u, float *v,
    int iterations)
{
    drl__rows_args a;
    double sigma = 0;
    size_t i, m = (size_t)rows, n = (size_t)cols;
    a.ctx = ctx;
    a.w = w;
    a.v = v;
    a.u = u;
    a.cols = n;
    if (iterations < 1) {
        for (i = 0; i < m; ++i) sigma += (double)u[i] * (double)drl__dot16(ctx, w + i * n, v, n);
        return (float)sigma;
    }
    while (iterations-- > 0) {
        drl__columns(ctx, w, NULL, u, 1, m, n, 1, v, 0);
        drl__normalize(ctx, n, v);
        drl__split(ctx, m, drl__row_grain(n), drl__rows_span, &a);
        sigma = drl__normalize(ctx, m, u);          /* u' W v with u = W v / |W v| */
    }
    return (float)sigma;
}

/* From G, the gradient by W / sigma, to that by W, in place: G / sigma - <G, W> / sigma^2 u v'.
 * Items are rows: g <- g / sigma - (<G, W> / sigma^2 u_i) v. */
typedef struct drl__rank1_args {
    const drl_ctx *ctx;
    const float *u, *v;
    float *g;
    size_t cols;
    float scale, factor;            /* 1 / sigma, and -<G, W> / sigma^2 */
} drl__rank1_args;

static void drl__rank1_span(const void *arg, size_t begin, size_t end, int job)
{
    const drl__rank1_args *a = (const drl__rank1_args *)arg;
    drl__map_args m;
    size_t i;
    memset(&m, 0, sizeof m);
    for (i = begin; i < end; ++i) {
        m.a = a->v;
        m.b = m.y = a->g + i * a->cols;
        m.s[0] = a->factor * a->u[i];
        m.s[1] = a->scale;
        a->ctx->kernels->axpby(&m, 0, a->cols, job);
    }
}

static void drl__spectral_norm_grad(drl_ctx *ctx, const float *w, int rows, int cols, const float *u,
    const float *v, float sigma, float *g)
{
    drl__rank1_args a;
    double s = (double)sigma;
    a.ctx = ctx;
    a.u = u;
    a.v = v;
    a.g = g;
    a.cols = (size_t)cols;
    a.scale = (float)(1 / s);
    a.factor = (float)(-drl__dot(ctx, (size_t)rows * (size_t)cols, g, w) / (s * s));
    drl__split(ctx, (size_t)rows, drl__row_grain((size_t)cols), drl__rank1_span, &a);
}

/* -----------------------------------------------------------------------------------------------------------
 * [io.impl] - the same code writes to memory and to files; one scanner reads the headers of JSON and NPY;
 * sizes that come from files pass through checked arithmetic only. First, what the C library provides.
 * -------------------------------------------------------------------------------------------------------- */
#ifndef DRL_NO_STDIO
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#if defined(_WIN32)
#include <fcntl.h>
#include <io.h>
#include <process.h>
#ifdef __cplusplus
extern "C"
#endif
__declspec(dllimport) int __stdcall MoveFileExA(const char *from, const char *to, unsigned long flags);
#elif defined(__unix__) || defined(__APPLE__)
#include <fcntl.h>
#include <sys/types.h>
#include <unistd.h>
#if defined(__STRICT_ANSI__) && !defined(__cplusplus)      /* -std=c99 hides these; C++ shows them */
#ifndef fileno
extern int fileno(FILE *file);
#endif
extern int fsync(int descriptor);
extern FILE *fdopen(int descriptor, const char *mode);
extern int fchmod(int descriptor, mode_t mode);
extern int fchown(int descriptor, uid_t owner, gid_t group);
extern ssize_t readlink(const char *path, char *text, size_t capacity);
#endif
#endif

/* Every call that can fail goes through one of these, so that tests can make it fail. */
#ifndef DRL__FOPEN
#define DRL__FOPEN(path, mode) fopen(path, mode)
#endif
#ifndef DRL__FREAD
#define DRL__FREAD(data, n, file) fread(data, 1, n, file)
#endif
#ifndef DRL__FWRITE
#define DRL__FWRITE(data, n, file) fwrite(data, 1, n, file)
#endif
#ifndef DRL__FFLUSH
#define DRL__FFLUSH(file) fflush(file)
#endif
#ifndef DRL__FCLOSE
#define DRL__FCLOSE(file) fclose(file)
#endif
#ifndef DRL__REMOVE
#define DRL__REMOVE(path) remove(path)
#endif
#if defined(_WIN32)
#ifndef DRL__STAT
#define DRL__STAT(path, info) _stat64(path, info)
#endif
#ifndef DRL__OPEN_NEW
#define DRL__OPEN_NEW(path, mode) _open(path, _O_WRONLY | _O_CREAT | _O_EXCL | _O_BINARY, mode)
#endif
#ifndef DRL__FDOPEN
#define DRL__FDOPEN(descriptor) _fdopen(descriptor, "wb")
#endif
#ifndef DRL__FSYNC
#define DRL__FSYNC(file) _commit(_fileno(file))
#endif
#ifndef DRL__RENAME                                 /* 1: replace the old file; 8: wait for the disk */
#define DRL__RENAME(from, to) (MoveFileExA(from, to, 1 | 8) ? 0 : -1)
#endif
#elif defined(__unix__) || defined(__APPLE__)
#ifndef DRL__STAT
#define DRL__STAT(path, info) stat(path, info)
#endif
#ifndef DRL__OPEN_NEW                               /* fails when the name is taken, also by a link */
#define DRL__OPEN_NEW(path, mode) open(path, O_WRONLY | O_CREAT | O_EXCL, mode)
#endif
#ifndef DRL__FDOPEN
#define DRL__FDOPEN(descriptor) fdopen(descriptor, "wb")
#endif
#ifndef DRL__FCHMOD
#define DRL__FCHMOD(file, mode) fchmod(fileno(file), mode)
#endif
#ifndef DRL__FSYNC
#define DRL__FSYNC(file) fsync(fileno(file))
#endif
#define DRL__POSIX_FILES                            /* links, permissions and owners */
#endif
#ifndef DRL__RENAME
#define DRL__RENAME(from, to) rename(from, to)
#endif
#ifndef DRL__FSYNC
#define DRL__FSYNC(file) ((void)(file), 0)          /* plain C cannot wait for the disk */
#endif

#define DRL__PATH_MAX 4096
#endif /* DRL_NO_STDIO */


/* -----------------------------------------------------------------------------------------------------------
 * [io.arrays] - element types, views of arrays, and floats from any of them.
 * -------------------------------------------------------------------------------------------------------- */

static size_t drl__dtype_bytes(drl_dtype dtype)
{
    switch (dtype) {
#define DRL__X(name, bytes, safetensors, npy) case name: return bytes;
    DRL_DTYPE_LIST(DRL__X)
#undef DRL__X
    default: return 0;
    }
}

static const char *drl__dtype_name(drl_dtype dtype)
{
    switch (dtype) {
#define DRL__X(name, bytes, safetensors, npy) case name: return safetensors;
    DRL_DTYPE_LIST(DRL__X)
#undef DRL__X
    default: return "?";
    }
}

static const char *drl__npy_name(drl_dtype dtype)
{
    switch (dtype) {
#define DRL__X(name, bytes, safetensors, npy) case name: return npy;
    DRL_DTYPE_LIST(DRL__X)
#undef DRL__X
    default: return "";
    }
}

/* The dtype for which the function `name` returns this text; DRL__DTYPE_END if there is none. */
static drl_dtype drl__dtype_of(const char *(*name)(drl_dtype), const char *text)
{
    int d = 0;
    while (d < (int)DRL__DTYPE_END && strcmp(name((drl_dtype)d), text) != 0) ++d;
    return (drl_dtype)d;
}

static int drl__host_is_big(void)
{
    const uint16_t one = 1;
    unsigned char first;
    memcpy(&first, &one, 1);
    return first == 0;
}

/* Product of the shape. The lengths above zero must have a product that fits size_t even where another length
 * is zero, because strides are computed from them. */
static int drl__shape_count(const size_t *shape, int rank, size_t *count)
{
    size_t product = 1;
    int i, empty = 0;
    for (i = 0; i < rank; ++i) {
        if (shape[i] == 0) empty = 1;
        else if (!drl__mul_fits(product, shape[i], &product)) return 0;
    }
    *count = empty ? 0 : product;
    return 1;
}

static int drl__array_bytes(const drl_array *a, size_t *bytes)
{
    size_t count;
    return drl__shape_count(a->shape, a->rank, &count) &&
           drl__mul_fits(count, drl__dtype_bytes(a->dtype), bytes);
}

static drl_status drl__array_check(drl_ctx *ctx, const char *who, const drl_array *a)
{
    size_t bytes;
    if (!a) return drl__fail(ctx, DRL_E_ARGUMENT, "%s: array is NULL", who);
    if (drl__dtype_bytes(a->dtype) == 0)
        return drl__fail(ctx, DRL_E_ARGUMENT, "%s: %d is no dtype", who, (int)a->dtype);
    if (a->rank < 0 || a->rank > DRL_RANK_MAX)
        return drl__fail(ctx, DRL_E_ARGUMENT, "%s: rank is %d, 0..%d are possible",
                         who, a->rank, DRL_RANK_MAX);
    if (!drl__array_bytes(a, &bytes))
        return drl__fail(ctx, DRL_E_SHAPE, "%s: the size of the array does not fit size_t", who);
    if (bytes != a->bytes)
        return drl__fail(ctx, DRL_E_SHAPE, "%s: array has %z bytes, its shape needs %z",
                         who, a->bytes, bytes);
    if (bytes && !a->data)
        return drl__fail(ctx, DRL_E_ARGUMENT, "%s: array of %z bytes has no data", who, bytes);
    return DRL_OK;
}

/* Gives an array the data that a file has for it; its size must be that of the shape. */
static drl_status drl__array_attach(drl_ctx *ctx, const char *source, drl_array *a, const void *data,
                                    size_t bytes)
{
    if (!drl__array_bytes(a, &a->bytes))
        return drl__fail(ctx, DRL_E_FORMAT, "%s: the shape needs more bytes than can be addressed", source);
    if (a->bytes != bytes)
        return drl__fail(ctx, DRL_E_FORMAT, "%s: %z bytes of data, the shape needs %z",
                         source, bytes, a->bytes);
    a->data = data;
    return DRL_OK;
}

DRL_API drl_array drl_array_of(const char *name, drl_dtype dtype, int rank, const size_t *shape,
                               const void *data)
{
    drl_array a;
    int i;
    memset(&a, 0, sizeof a);
    a.name = name;
    a.dtype = dtype;
    a.rank = rank;
    a.data = data;
    if (rank < 0 || rank > DRL_RANK_MAX || (rank > 0 && !shape)) a.rank = -1;
    for (i = 0; i < a.rank; ++i) a.shape[i] = shape[i];
    if (a.rank < 0 || !drl__array_bytes(&a, &a.bytes)) a.bytes = 0;
    return a;
}

DRL_API size_t drl_array_count(const drl_array *array)
{
    size_t count;
    if (!array || array->rank < 0 || array->rank > DRL_RANK_MAX) return 0;
    return drl__shape_count(array->shape, array->rank, &count) ? count : 0;
}

DRL_API const float *drl_array_floats(const drl_array *array)
{
    if (!array || !array->data) return NULL;
    if (array->dtype != DRL_DTYPE_F32 || array->swapped) return NULL;
    if ((uintptr_t)array->data % sizeof(float)) return NULL;
    return (const float *)array->data;
}

/* The bits of element i; a negative integer is extended to 64 bits. */
static uint64_t drl__array_bits(const drl_array *a, size_t i)
{
    size_t size = drl__dtype_bytes(a->dtype), k;
    const unsigned char *p = (const unsigned char *)a->data + i * size;
    int big = drl__host_is_big() != (a->swapped != 0);
    uint64_t v = 0;
    for (k = 0; k < size; ++k) v = v << 8 | p[big ? k : size - 1 - k];
    if (a->dtype == DRL_DTYPE_I8 || a->dtype == DRL_DTYPE_I16 || a->dtype == DRL_DTYPE_I32) {
        uint64_t sign = ((uint64_t)1 << 8 * size) >> 1;
        v = (v ^ sign) - sign;
    }
    return v;
}

/* The bits of the float that has the value of a half (bits h). Bits and not a float: a signalling NaN may
 * become a quiet one in a register. */
static uint32_t drl__half_bits(uint32_t h)
{
    uint32_t sign = (h & 0x8000) << 16, exponent = h >> 10 & 31, fraction = h & 0x3FF;
    if (exponent == 0) {
        float tiny = (float)fraction * 5.9604644775390625e-8f;        /* fraction * 2^-24, exact */
        uint32_t bits;
        memcpy(&bits, &tiny, 4);
        return sign | bits;
    }
    return sign | (exponent == 31 ? 0x7F800000 : (exponent + 112) << 23) | fraction << 13;
}

/* *dst <- element i, rounded to nearest. */
static void drl__element_to_float(const drl_array *a, size_t i, float *dst)
{
    uint64_t v = drl__array_bits(a, i);
    uint32_t bits = (uint32_t)v;
    double d;
    switch (a->dtype) {
    case DRL_DTYPE_F16:  bits = drl__half_bits(bits); memcpy(dst, &bits, 4); break;
    case DRL_DTYPE_BF16: bits <<= 16; memcpy(dst, &bits, 4); break;
    case DRL_DTYPE_F32:  memcpy(dst, &bits, 4); break;
    case DRL_DTYPE_F64:  memcpy(&d, &v, 8); *dst = (float)d; break;
    case DRL_DTYPE_BOOL: *dst = v ? 1.0f : 0.0f; break;
    case DRL_DTYPE_U64:
    case DRL_DTYPE_U32:
    case DRL_DTYPE_U16:
    case DRL_DTYPE_U8:   *dst = (float)v; break;
    default:             *dst = v >> 63 ? -(float)(0 - v) : (float)v; break;
    }
}

/* v / 2^shift (shift 1..31), rounded to the nearest whole number; halfway between two, to the even one. */
static uint32_t drl__shift_to_even(uint32_t v, int shift)
{
    uint32_t whole = v >> shift, rest = v - (whole << shift), half = (uint32_t)1 << (shift - 1);
    return whole + (rest > half || (rest == half && (whole & 1)));
}

/* The bits of a float, rounded to F16 or BF16: to the nearest number, halfway between two to the even one.
 * Numbers too large for the type become infinite; infinities and NaN stay what they are. */
static uint16_t drl__float_to_half(uint32_t bits, drl_dtype dtype)
{
    uint32_t sign = bits >> 16 & 0x8000, size = bits & 0x7FFFFFFF, half, exponent = size >> 23;
    if (dtype == DRL_DTYPE_BF16) {                      /* the upper half of a float */
        half = size > 0x7F800000 ? 0x7FC0 : drl__shift_to_even(size, 16);
    } else if (exponent >= 113) {                       /* 2^-14 and more: normal numbers of F16 */
        half = size > 0x7F800000 ? 0x7E00 : drl__shift_to_even(size - ((uint32_t)112 << 23), 13);
        if (size <= 0x7F800000 && half > 0x7C00) half = 0x7C00;
    } else if (exponent >= 102) {                       /* denormal ones: multiples of 2^-24 */
        half = drl__shift_to_even((size & 0x7FFFFF) | 0x800000, (int)(126 - exponent));
    } else {                                            /* below 2^-25 */
        half = 0;
    }
    return (uint16_t)(sign | half);
}

DRL__CALL(drl_status, drl_array_to_float,
    (drl_ctx *ctx, const drl_array *array, float *dst),
    (ctx, array, dst))
{
    size_t i, count;
    drl_status status;
    if (!ctx) return DRL_E_ARGUMENT;
    status = drl__array_check(ctx, "drl_array_to_float", array);
    if (status != DRL_OK) return status;
    if (drl__bad_floats(dst))
        return drl__fail(ctx, DRL_E_ARGUMENT, "drl_array_to_float: dst is NULL or misaligned");
    count = drl_array_count(array);
    if (array->dtype == DRL_DTYPE_F32 && !array->swapped) {
        if (count) memcpy(dst, array->data, array->bytes);
        return DRL_OK;
    }
    for (i = 0; i < count; ++i) drl__element_to_float(array, i, &dst[i]);
    return DRL_OK;
}

/* -----------------------------------------------------------------------------------------------------------
 * [io.files] - files read and written whole: a temporary file beside the name, flushed, then renamed over it.
 * -------------------------------------------------------------------------------------------------------- */

/* Where written bytes go: into memory that is large enough, into a file, or (all fields zero) nowhere, and
 * are only counted. */
typedef struct drl__sink {
    unsigned char *memory;
    size_t at;                  /* bytes so far */
#ifndef DRL_NO_STDIO
    FILE *file;
    int error;                  /* errno of the first write that failed, or -1 */
#endif
} drl__sink;

#define DRL__IO_PART ((size_t)1 << 30)      /* bytes of one call: some C libraries fail above INT_MAX */

static void drl__put(drl__sink *s, const void *data, size_t n)
{
    if (n == 0) return;
    if (s->memory) memcpy(s->memory + s->at, data, n);
    s->at += n;
#ifndef DRL_NO_STDIO
    if (s->file) {
        const unsigned char *p = (const unsigned char *)data;
        while (n && !s->error) {
            size_t part = n < DRL__IO_PART ? n : DRL__IO_PART;
            errno = 0;
            if (DRL__FWRITE(p, part, s->file) != part) s->error = errno ? errno : -1;
            p += part;
            n -= part;
        }
    }
#endif
}

static void drl__put_text(drl__sink *s, const char *text) { drl__put(s, text, strlen(text)); }

static void drl__put_number(drl__sink *s, size_t v)
{
    char digits[20];
    drl__put(s, digits, drl__text_u64(digits, v));
}

static void drl__put_fill(drl__sink *s, char c, size_t n)
{
    while (n--) drl__put(s, &c, 1);
}

/* Puts the elements of an array, little-endian. */
static void drl__put_array(drl__sink *s, const drl_array *a)
{
    size_t size = drl__dtype_bytes(a->dtype), i, k;
    unsigned char element[8];
    if (size == 1 || drl__host_is_big() == (a->swapped != 0)) {
        drl__put(s, a->data, a->bytes);
        return;
    }
    for (i = 0; i < a->bytes; i += size) {
        for (k = 0; k < size; ++k) element[k] = ((const unsigned char *)a->data)[i + size - 1 - k];
        drl__put(s, element, size);
    }
}

#ifndef DRL_NO_STDIO
static drl_status drl__io_fail(drl_ctx *ctx, const char *what, const char *path, int error)
{
    const char *reason = "no reason given";
#ifdef _MSC_VER
#pragma warning(suppress : 4996)
#endif
    if (error > 0) reason = strerror(error);
    return drl__fail(ctx, DRL_E_IO, "cannot %s (%s): '%s'", what, reason, path);
}

/* Returns 1 for a regular file of *size bytes, 2 for anything else of that name, 0 with errno for neither. */
static int drl__stat(const char *path, uint64_t *size)
{
#ifdef DRL__STAT
#if defined(_WIN32)
    struct _stat64 info;
    int regular;
    errno = 0;
    if (DRL__STAT(path, &info) != 0) return 0;
    regular = (info.st_mode & _S_IFMT) == _S_IFREG;
#else
    struct stat info;
    int regular;
    errno = 0;
    if (DRL__STAT(path, &info) != 0) return 0;
    regular = S_ISREG(info.st_mode) != 0;
#endif
    *size = (uint64_t)info.st_size;
    return regular ? 1 : 2;
#else
    long end = -1;
    FILE *file;
    errno = 0;
    file = DRL__FOPEN(path, "rb");
    if (!file) return 0;
    if (fseek(file, 0, SEEK_END) == 0) end = ftell(file);
    DRL__FCLOSE(file);
    *size = end < 0 ? 0 : (uint64_t)end;
    return end < 0 ? 2 : 1;
#endif
}

#ifdef _MSC_VER
#pragma warning(push)
#pragma warning(disable : 4996)     /* fopen is in every C library, fopen_s is not */
#endif
static FILE *drl__fopen(const char *path, const char *mode)
{
    errno = 0;
    return DRL__FOPEN(path, mode);
}
#ifdef _MSC_VER
#pragma warning(pop)
#endif

/* Reads exactly `bytes` bytes, and one more to see that the file ends there. Closes the file. */
static drl_status drl__file_read_all(drl_ctx *ctx, const char *path, FILE *file, unsigned char *block,
                                     size_t bytes)
{
    size_t at = 0;
    int error = 0, grown = 0;
    unsigned char extra;
    while (at < bytes) {
        size_t part = bytes - at < DRL__IO_PART ? bytes - at : DRL__IO_PART, got;
        errno = 0;
        got = DRL__FREAD(block + at, part, file);
        at += got;
        if (got < part) {
            if (ferror(file)) error = errno ? errno : -1;
            break;
        }
    }
    if (at == bytes) grown = DRL__FREAD(&extra, 1, file) != 0;
    DRL__FCLOSE(file);                      /* a failure to close loses nothing that was read */
    if (at == bytes && !grown) return DRL_OK;
    if (error) return drl__io_fail(ctx, "read", path, error);
    return drl__fail(ctx, DRL_E_IO, "cannot read (%s than the %z bytes it had): '%s'",
                     grown ? "it is longer now" : "it ended sooner", bytes, path);
}

DRL_API drl_status drl_file_read(drl_ctx *ctx, const char *path, void **data, size_t *size)
{
    uint64_t length = 0;
    unsigned char *block;
    FILE *file;
    drl_status status;
    int found;
    if (!ctx) return DRL_E_ARGUMENT;
    if (!path || !data || !size)
        return drl__fail(ctx, DRL_E_ARGUMENT, "drl_file_read: path, data or size is NULL");
    found = drl__stat(path, &length);       /* before opening: opening a pipe would wait for its other end */
    if (found == 0) return drl__io_fail(ctx, "read", path, errno);
    if (found == 2) return drl__fail(ctx, DRL_E_IO, "cannot read (not a regular file): '%s'", path);
    if (length > SIZE_MAX)
        return drl__fail(ctx, DRL_E_MEMORY, "cannot read (%u bytes do not fit size_t): '%s'", length, path);
    file = drl__fopen(path, "rb");
    if (!file) return drl__io_fail(ctx, "open for reading", path, errno);
    block = (unsigned char *)drl__alloc(ctx, length ? (size_t)length : 1);
    if (!block) {
        DRL__FCLOSE(file);
        return DRL_E_MEMORY;
    }
    status = drl__file_read_all(ctx, path, file, block, (size_t)length);
    if (status != DRL_OK) {
        drl__free(ctx, block);
        return status;
    }
    *data = block;
    *size = (size_t)length;
    return DRL_OK;
}

DRL_API void drl_file_free(drl_ctx *ctx, void *data)
{
    if (ctx && data) drl__free(ctx, data);
}

/* A file that is being written: the bytes put into its sink appear under the path when drl__output_close
 * succeeds, and never if that fails. */
typedef struct drl__output {
    drl__sink sink;
    drl_ctx *ctx;
    const char *path;                       /* as the caller wrote it, for sentences */
    char target[DRL__PATH_MAX];             /* the file that the path means: links are followed */
    char temporary[DRL__PATH_MAX];          /* the temporary file, beside the target */
    size_t folder;                          /* bytes of the target's folder, slash included */
#ifdef DRL__POSIX_FILES
    int replaces;                           /* 1: the target exists */
    struct stat old;                        /* permissions and owner of the target, if it exists */
#endif
} drl__output;

#define DRL__TEMPORARY_MAX 40               /* longest ".drl-PROCESS-NUMBER.tmp", in bytes */
#define DRL__TEMPORARIES   1000             /* names to try: other programs may write in the same folder */

/* Opens a new, empty file for writing; NULL with errno where that fails or the name is taken. secret != 0:
 * nobody else may read it. */
#ifdef _MSC_VER
#pragma warning(push)
#pragma warning(disable : 4996)
#endif
static FILE *drl__create(const char *path, int secret)
{
#ifdef DRL__OPEN_NEW
    FILE *file;
    int descriptor, error;
    errno = 0;
#if defined(_WIN32)
    (void)secret;
    descriptor = DRL__OPEN_NEW(path, _S_IREAD | _S_IWRITE);
#else
    descriptor = DRL__OPEN_NEW(path, secret ? 0600 : 0666);
#endif
    if (descriptor < 0) return NULL;
    file = DRL__FDOPEN(descriptor);
    if (file) return file;
    error = errno;
#if defined(_WIN32)
    _close(descriptor);
#else
    close(descriptor);
#endif
    DRL__REMOVE(path);
    errno = error;
    return NULL;
#else
    (void)secret;
    return drl__fopen(path, "wb");
#endif
}
#ifdef _MSC_VER
#pragma warning(pop)
#endif

static size_t drl__folder_bytes(const char *path)
{
    size_t n = strlen(path);
#if defined(_WIN32)
    while (n > 0 && path[n - 1] != '/' && path[n - 1] != '\\' && path[n - 1] != ':') --n;
#else
    while (n > 0 && path[n - 1] != '/') --n;
#endif
    return n;
}

#ifdef DRL__POSIX_FILES
#define DRL__LINKS_MAX 40                   /* symbolic links in a row */

/* out->target <- the file that out->path means, link by link. A link whose file does not exist means the file
 * of that name. */
static drl_status drl__output_follow(drl__output *out)
{
    char *next = out->temporary;
    int links;
    for (links = 0; ; ++links) {
        ssize_t got = readlink(out->target, next, sizeof out->temporary);
        size_t n, folder;
        if (got < 0) return DRL_OK;         /* no link */
        n = (size_t)got;
        folder = n && next[0] == '/' ? 0 : drl__folder_bytes(out->target);
        if (links == DRL__LINKS_MAX)
            return drl__fail(out->ctx, DRL_E_IO,
                             "cannot write (more than %d symbolic links in a row, or a circle of them): '%s'",
                             links, out->path);
        if (!n || folder + n >= sizeof out->target)
            return drl__fail(out->ctx, DRL_E_IO,
                             "cannot write (the symbolic link leads to a path of %z bytes, 1 to %z are "
                             "possible): '%s'", folder + n, sizeof out->target - 1, out->path);
        memcpy(out->target + folder, next, n);
        out->target[folder + n] = 0;
    }
}

/* path <- the target's folder, "." where the target has none. */
static void drl__output_folder(const drl__output *out, char path[DRL__PATH_MAX])
{
    size_t n = out->folder ? out->folder : 1;
    memcpy(path, out->folder ? out->target : ".", n);
    path[n] = 0;
}

/* Waits until the new name is on the disk. Some file systems cannot do that; the file is whole either way. */
static void drl__output_sync_folder(const drl__output *out)
{
    char path[DRL__PATH_MAX];
    int folder;
    drl__output_folder(out, path);
    folder = open(path, O_RDONLY);
    if (folder < 0) return;
    (void)fsync(folder);
    (void)close(folder);
}

/* 1 if the target's folder is /proc, /sys or /dev, or lies on their file systems, reached by name or by link.
 * A folder below them with a file system of its own, such as /dev/shm, is an ordinary folder. */
static int drl__output_in_system(const drl__output *out)
{
    static const char *const system[3] = { "/proc", "/sys", "/dev" };
    struct stat root, folder, info;
    char path[DRL__PATH_MAX];
    int i;
    drl__output_folder(out, path);
    /* A folder that cannot be examined is reported when the temporary file is opened. */
    if (DRL__STAT("/", &root) != 0 || DRL__STAT(path, &folder) != 0) return 0;
    for (i = 0; i < 3; ++i) {
        if (DRL__STAT(system[i], &info) != 0) continue;
        if (info.st_dev == folder.st_dev && info.st_dev != root.st_dev) return 1;
        if (info.st_dev == folder.st_dev && info.st_ino == folder.st_ino) return 1;
    }
    return 0;
}

/* Finds the target, and refuses one that may not be replaced. */
static drl_status drl__output_inspect(drl__output *out)
{
    struct stat target;
    drl_status status;
    errno = 0;
    out->replaces = DRL__STAT(out->path, &out->old) == 0;
    if (out->replaces && !S_ISREG(out->old.st_mode))
        return drl__fail(out->ctx, DRL_E_IO, "cannot write (not a regular file): '%s'", out->path);
    if (!out->replaces && errno != ENOENT && errno != ELOOP)
        return drl__io_fail(out->ctx, "write", out->path, errno ? errno : -1);
    status = drl__output_follow(out);
    if (status != DRL_OK) return status;
    if (out->replaces &&
        (DRL__STAT(out->target, &target) != 0 ||
         target.st_dev != out->old.st_dev ||
         target.st_ino != out->old.st_ino))
        return drl__fail(out->ctx, DRL_E_IO,
                         "cannot write (the file that this link leads to has no name, or another one by "
                         "now): '%s'", out->path);
    if (out->replaces && !(out->old.st_mode & 0222))
        return drl__fail(out->ctx, DRL_E_IO, "cannot write (the file is read-only): '%s'", out->path);
    if (out->replaces && access(out->target, W_OK) != 0)
        return drl__io_fail(out->ctx, "write", out->path, errno ? errno : -1);
    out->folder = drl__folder_bytes(out->target);
    if (drl__output_in_system(out))
        return drl__fail(out->ctx, DRL_E_IO, "cannot write (it lies in /dev, /proc or /sys): '%s'",
                         out->path);
    return DRL_OK;
}

/* Gives the temporary file the permissions of the target, and its owner and group where the system allows
 * that. Where it does not, the set-user-ID bits go, and the rights of another group are cut to those of
 * everybody. Returns an error number, 0 for success. */
static int drl__output_set_owner(drl__output *out)
{
    struct stat now;
    mode_t mode = (mode_t)(out->old.st_mode & 07777);
    int file = fileno(out->sink.file);
    errno = 0;
    if (fstat(file, &now) != 0) return errno ? errno : -1;
    if ((now.st_uid != out->old.st_uid || now.st_gid != out->old.st_gid) &&
        fchown(file, out->old.st_uid, out->old.st_gid) != 0) {
        if (now.st_gid != out->old.st_gid) mode = (mode_t)(mode & (0707 | (mode & 07) << 3));
        mode = (mode_t)(mode & 0777);
    }
    if ((now.st_mode & 07777) == mode) return 0;
    errno = 0;
    return DRL__FCHMOD(out->sink.file, mode) != 0 ? (errno ? errno : -1) : 0;
}
#else /* DRL__POSIX_FILES */

/* Refuses a target that may not be replaced. Symbolic links are not followed here. */
static drl_status drl__output_inspect(drl__output *out)
{
    uint64_t size;
#if defined(_WIN32)
    struct _stat64 info;
    if (DRL__STAT(out->path, &info) == 0 &&
        (info.st_mode & _S_IFMT) == _S_IFREG &&
        !(info.st_mode & _S_IWRITE))
        return drl__fail(out->ctx, DRL_E_IO, "cannot write (the file is read-only): '%s'", out->path);
#endif
    if (drl__stat(out->path, &size) == 2)
        return drl__fail(out->ctx, DRL_E_IO, "cannot write (not a regular file): '%s'", out->path);
    out->folder = drl__folder_bytes(out->target);
    return DRL_OK;
}
#endif /* DRL__POSIX_FILES */

/* A number for the names of temporary files, which no other program at work has. */
static uint64_t drl__process_id(const drl_ctx *ctx)
{
#if defined(DRL__POSIX_FILES)
    (void)ctx;
    return (uint64_t)getpid();
#elif defined(_WIN32)
    (void)ctx;
    return (uint64_t)_getpid();
#else
    return (uint64_t)(uintptr_t)ctx;        /* plain C knows no process; contexts of one program differ */
#endif
}

static drl_status drl__output_open(drl__output *out, drl_ctx *ctx, const char *path)
{
    size_t length = strlen(path);
    uint64_t number = 0;
    drl_status status;
    int secret = 0;
    memset(&out->sink, 0, sizeof out->sink);
    out->ctx = ctx;
    out->path = path;
    if (!length) return drl__fail(ctx, DRL_E_IO, "cannot write: the path is empty");
    if (length >= sizeof out->target)
        return drl__fail(ctx, DRL_E_IO, "cannot write: the path has %z bytes, %z are possible",
                         length, sizeof out->target - 1);
    memcpy(out->target, path, length + 1);
    status = drl__output_inspect(out);
    if (status != DRL_OK) return status;
#ifdef DRL__POSIX_FILES
    secret = out->replaces;                 /* until it has the permissions of the file that it replaces */
#endif
    if (out->folder + DRL__TEMPORARY_MAX > sizeof out->temporary)
        return drl__fail(ctx, DRL_E_IO,
                         "cannot write: the path of its folder has %z bytes, %z are possible beside a "
                         "temporary file", out->folder, sizeof out->temporary - DRL__TEMPORARY_MAX);
    memcpy(out->temporary, out->target, out->folder);
    do {
        drl__text(out->temporary + out->folder, sizeof out->temporary - out->folder, ".drl-%u-%u.tmp",
                  drl__process_id(ctx), number);
        out->sink.file = drl__create(out->temporary, secret);
    } while (!out->sink.file && errno == EEXIST && ++number < DRL__TEMPORARIES);
    if (!out->sink.file) return drl__io_fail(ctx, "open for writing", out->path, errno);
    return DRL_OK;
}

static drl_status drl__output_close(drl__output *out)
{
    drl__sink *s = &out->sink;
    const char *what = "write";
    int error = s->error;
    errno = 0;
    if (!error && DRL__FFLUSH(s->file) != 0) error = errno ? errno : -1;
#ifdef DRL__POSIX_FILES
    if (!error && out->replaces) error = drl__output_set_owner(out);
#endif
    if (!error && DRL__FSYNC(s->file) != 0) error = errno ? errno : -1;
    if (DRL__FCLOSE(s->file) != 0 && !error) error = errno ? errno : -1;
    if (!error) {
        what = "rename the finished file";
        if (DRL__RENAME(out->temporary, out->target) != 0) error = errno ? errno : -1;
    }
    if (error) {
        DRL__REMOVE(out->temporary);
        return drl__io_fail(out->ctx, what, out->path, error);
    }
#ifdef DRL__POSIX_FILES
    drl__output_sync_folder(out);
#endif
    return DRL_OK;
}

DRL_API drl_status drl_file_write(drl_ctx *ctx, const char *path, const void *data, size_t size)
{
    drl__output out;
    drl_status status;
    if (!ctx) return DRL_E_ARGUMENT;
    if (!path || (size && !data))
        return drl__fail(ctx, DRL_E_ARGUMENT, "drl_file_write: path or data is NULL");
    status = drl__output_open(&out, ctx, path);
    if (status != DRL_OK) return status;
    drl__put(&out.sink, data, size);
    return drl__output_close(&out);
}

/* The last part of a path, to name a file in a sentence about its contents. */
static const char *drl__base_name(const char *path)
{
    const char *base = path;
    for (; *path; ++path) if (*path == '/' || *path == '\\') base = path + 1;
    return base;
}
#endif /* DRL_NO_STDIO */

/* -----------------------------------------------------------------------------------------------------------
 * [io.scan] - the one scanner of text from files: JSON, and the Python literals of NPY.
 * -------------------------------------------------------------------------------------------------------- */

typedef struct drl__scan {
    drl_ctx *ctx;
    const char *source;         /* what the sentences call the file */
    const unsigned char *start, *at, *end;
} drl__scan;

#define DRL__QUOTE_BYTES 96     /* bytes of a name from a file that a sentence repeats, with the final NUL */

/* quoted <- a name from a file, fit for a sentence: at most 95 bytes, cut between two characters, with '?'
 * for control characters, which a terminal would obey. Returns quoted. */
static const char *drl__quote(char quoted[DRL__QUOTE_BYTES], const char *name)
{
    size_t n = 0;
    for (; name[n] && n + 1 < DRL__QUOTE_BYTES; ++n)
        quoted[n] = (unsigned char)name[n] < 0x20 || name[n] == 0x7F ? '?' : name[n];
    if (name[n]) while (n > 0 && ((unsigned char)name[n] & 0xC0) == 0x80) --n;
    quoted[n] = 0;
    return quoted;
}

/* Bytes of the UTF-8 character at p, where `left` bytes can be read; 0 for anything that is not one, such
 * as overlong forms and surrogates. */
static size_t drl__utf8_bytes(const unsigned char *p, size_t left)
{
    size_t n, i;
    if (left == 0) return 0;
    n = p[0] < 0x80 ? 1 : p[0] < 0xC2 ? 0 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : p[0] < 0xF5 ? 4 : 0;
    if (n > left) return 0;
    for (i = 1; i < n; ++i) if ((p[i] & 0xC0) != 0x80) return 0;
    if ((p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] > 0x9F)) return 0;
    if ((p[0] == 0xF0 && p[1] < 0x90) || (p[0] == 0xF4 && p[1] > 0x8F)) return 0;
    return n;
}

/* Reports what is wrong at the byte where the scan stands. Returns 0, as all functions on a scan do when they
 * fail. */
static int drl__scan_fail(const drl__scan *s, const char *what)
{
    drl__fail(s->ctx, DRL_E_FORMAT, "%s: header byte %z: %s", s->source, (size_t)(s->at - s->start), what);
    return 0;
}

static void drl__scan_space(drl__scan *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\t' || *s->at == '\n' || *s->at == '\r'))
        ++s->at;
}

/* Skips white space, and takes c if it comes next. */
static int drl__scan_next(drl__scan *s, char c)
{
    drl__scan_space(s);
    if (s->at == s->end || *s->at != (unsigned char)c) return 0;
    ++s->at;
    return 1;
}

static int drl__scan_need(drl__scan *s, char c)
{
    char what[] = "expected ' '";
    if (drl__scan_next(s, c)) return 1;
    what[10] = c;
    return drl__scan_fail(s, what);
}

/* Reads a whole number without sign and leading zeros; the caller checks what follows the digits. */
static int drl__scan_size(drl__scan *s, size_t *out)
{
    size_t v = 0;
    drl__scan_space(s);
    if (s->at == s->end || *s->at < '0' || *s->at > '9') return drl__scan_fail(s, "expected a whole number");
    if (*s->at == '0' && s->end - s->at > 1 && s->at[1] >= '0' && s->at[1] <= '9')
        return drl__scan_fail(s, "number with a leading zero");
    for (; s->at < s->end && *s->at >= '0' && *s->at <= '9'; ++s->at)
        if (!drl__mul_fits(v, 10, &v) || !drl__add_fits(v, (size_t)(*s->at - '0'), &v))
            return drl__scan_fail(s, "number does not fit size_t");
    *out = v;
    return 1;
}

static int drl__json_hex4(drl__scan *s, uint32_t *out)
{
    uint32_t v = 0;
    int i;
    for (i = 0; i < 4; ++i, ++s->at) {
        unsigned char c = s->at < s->end ? *s->at : 0;
        if (c >= '0' && c <= '9') v = v << 4 | (uint32_t)(c - '0');
        else if (c >= 'a' && c <= 'f') v = v << 4 | (uint32_t)(c - 'a' + 10);
        else if (c >= 'A' && c <= 'F') v = v << 4 | (uint32_t)(c - 'A' + 10);
        else return drl__scan_fail(s, "expected four hexadecimal digits");
    }
    *out = v;
    return 1;
}

/* utf8 <- code point v; returns its bytes. */
static size_t drl__utf8_put(uint32_t v, unsigned char utf8[4])
{
    size_t bytes = v < 0x80 ? 1 : v < 0x800 ? 2 : v < 0x10000 ? 3 : 4, i;
    if (bytes == 1) {
        utf8[0] = (unsigned char)v;
        return 1;
    }
    for (i = bytes; i-- > 1; v >>= 6) utf8[i] = (unsigned char)(0x80 | (v & 63));
    utf8[0] = (unsigned char)((bytes == 2 ? 0xC0 : bytes == 3 ? 0xE0 : 0xF0) | v);
    return bytes;
}

/* Reads \u and four digits, or two of them for a code point above 0xFFFF, from behind the first u on. */
static int drl__json_code_point(drl__scan *s, uint32_t *out)
{
    uint32_t v, low;
    if (!drl__json_hex4(s, &v)) return 0;
    if (v >= 0xDC00 && v <= 0xDFFF) return drl__scan_fail(s, "half a surrogate pair");
    if (v >= 0xD800 && v < 0xDC00) {
        if (s->end - s->at < 2 || s->at[0] != '\\' || s->at[1] != 'u')
            return drl__scan_fail(s, "half a surrogate pair");
        s->at += 2;
        if (!drl__json_hex4(s, &low)) return 0;
        if (low < 0xDC00 || low > 0xDFFF) return drl__scan_fail(s, "half a surrogate pair");
        v = 0x10000 + ((v - 0xD800) << 10) + (low - 0xDC00);
    }
    if (v == 0) return drl__scan_fail(s, "NUL in a string");
    *out = v;
    return 1;
}

/* Reads one escape sequence, from the backslash on, into UTF-8; returns its bytes. */
static size_t drl__json_escape(drl__scan *s, unsigned char utf8[4])
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    uint32_t v = 0;
    const char *hit;
    ++s->at;
    if (s->at == s->end) return (size_t)drl__scan_fail(s, "string without end");
    hit = *s->at ? strchr(from, (char)*s->at) : NULL;
    if (hit) {
        utf8[0] = (unsigned char)to[hit - from];
        ++s->at;
        return 1;
    }
    if (*s->at != 'u') return (size_t)drl__scan_fail(s, "unknown escape sequence");
    ++s->at;
    return drl__json_code_point(s, &v) ? drl__utf8_put(v, utf8) : 0;
}

/* Reads one character of a string, escaped or not, into UTF-8; returns its bytes. */
static size_t drl__json_character(drl__scan *s, unsigned char utf8[4])
{
    size_t bytes;
    if (*s->at == '\\') return drl__json_escape(s, utf8);
    if (*s->at < 0x20) return (size_t)drl__scan_fail(s, "control character in a string");
    bytes = drl__utf8_bytes(s->at, (size_t)(s->end - s->at));
    if (bytes == 0) return (size_t)drl__scan_fail(s, "not UTF-8");
    memcpy(utf8, s->at, bytes);
    s->at += bytes;
    return bytes;
}

/* Reads a JSON string. out receives its first `capacity` bytes and a NUL; *length is the whole length. */
static int drl__json_string(drl__scan *s, char *out, size_t capacity, size_t *length)
{
    unsigned char utf8[4];
    size_t total = 0, kept = 0, bytes, i;
    if (!drl__scan_next(s, '"')) return drl__scan_fail(s, "expected a string");
    for (; s->at < s->end && *s->at != '"'; total += bytes) {
        bytes = drl__json_character(s, utf8);
        if (bytes == 0) return 0;
        for (i = 0; i < bytes && kept < capacity; ++i) out[kept++] = (char)utf8[i];
    }
    if (s->at == s->end) return drl__scan_fail(s, "string without end");
    ++s->at;
    out[kept] = 0;
    *length = total;
    return 1;
}

/* A whole number of up to 64 words, the lowest first. */
typedef struct drl__big {
    uint32_t word[64];
    int n;                      /* words in use; the highest of them is not 0 */
} drl__big;

/* b <- b * factor + more */
static void drl__big_mul(drl__big *b, uint32_t factor, uint32_t more)
{
    uint64_t carry = more;
    int i;
    for (i = 0; i < b->n; ++i) {
        carry += (uint64_t)b->word[i] * factor;
        b->word[i] = (uint32_t)carry;
        carry >>= 32;
    }
    if (carry) b->word[b->n++] = (uint32_t)carry;
}

/* b <- b / divisor, without the remainder, which is returned. */
static uint32_t drl__big_div(drl__big *b, uint32_t divisor)
{
    uint64_t rest = 0;
    int i;
    for (i = b->n; i-- > 0; rest %= divisor) {
        rest = rest << 32 | b->word[i];
        b->word[i] = (uint32_t)(rest / divisor);
    }
    while (b->n > 0 && !b->word[b->n - 1]) --b->n;
    return (uint32_t)rest;
}

/* b * 2^exponent, a bit more where `more` is set, rounded to the nearest double, halfway to the even one. */
static double drl__big_double(const drl__big *b, int exponent, int more)
{
    int bits = 32 * b->n, keep, i;
    uint64_t m = 0, half = 0;
    double value;
    if (b->n == 0) return 0;
    while (!(b->word[(bits - 1) / 32] >> (bits - 1) % 32 & 1)) --bits;
    keep = bits + exponent + 1074;                      /* the last bit of a double is 2^-1074 or more */
    keep = keep > 53 ? 53 : keep;
    keep = keep > bits ? bits : keep;
    if (keep < 0) return 0;
    for (i = bits; i-- > 0;) {
        uint64_t bit = b->word[i / 32] >> i % 32 & 1;
        if (bits - i <= keep) m = m << 1 | bit;
        else if (bits - i == keep + 1) half = bit;
        else if (bit) more = 1;
        if (more && bits - i > keep) break;
    }
    m += half && (more || (m & 1));
    value = (double)m;
    exponent += bits - keep;
    for (; exponent > 0; --exponent) value *= 2;        /* each product is exact, or infinite */
    for (; exponent < 0; ++exponent) value *= 0.5;
    return value;
}

#define DRL__DECIMAL_MAX 60     /* characters of a number */

/* digits * 10^exponent. With at most 60 digits the product has at most 34 words, and 53 where it is divided:
 * below, more than 10^-330 is left of 2^(32 zeros). */
static double drl__decimal_value(drl__big *digits, int length, int exponent)
{
    int zeros = 0, i, more = 0;
    if (digits->n == 0 || length + exponent < -330) return 0;
    if (length + exponent > 310) return HUGE_VAL;
    for (; exponent > 0; --exponent) drl__big_mul(digits, 10, 0);
    if (exponent < 0) {                                 /* 10^-exponent and 64 bits more */
        zeros = (-exponent * 10 / 3 + 66 + 31) / 32;
        for (i = digits->n; i-- > 0;) digits->word[i + zeros] = digits->word[i];
        for (i = 0; i < zeros; ++i) digits->word[i] = 0;
        digits->n += zeros;
    }
    for (; exponent <= -9; exponent += 9) more |= drl__big_div(digits, 1000000000) != 0;
    for (; exponent < 0; ++exponent) more |= drl__big_div(digits, 10) != 0;
    return drl__big_double(digits, -32 * zeros, more);
}

/* Reads a decimal number, which all n characters of the text have to be: sign, digits with or without a point
 * among them, exponent. *value <- it, rounded to nearest; infinite when it is too large. Returns 0 when the
 * text is no such number. */
static int drl__decimal(const unsigned char *text, size_t n, double *value)
{
    drl__big digits;
    const unsigned char *at = text, *end = text + n;
    int length = 0, any = 0, point = 0, exponent = 0, negative, below, e = 0;
    if (n > DRL__DECIMAL_MAX) return 0;
    digits.n = 0;
    negative = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+')) ++at;
    for (; at < end && ((*at >= '0' && *at <= '9') || (*at == '.' && !point)); ++at) {
        if (*at == '.') {
            point = 1;
            continue;
        }
        any = 1;
        exponent -= point;
        drl__big_mul(&digits, 10, (uint32_t)(*at - '0'));
        length += digits.n > 0;                         /* zeros in front do not count */
    }
    if (!any) return 0;
    if (at < end && (*at == 'e' || *at == 'E')) {
        ++at;
        below = at < end && *at == '-';
        if (at < end && (*at == '-' || *at == '+')) ++at;
        if (at == end) return 0;
        for (; at < end && *at >= '0' && *at <= '9'; ++at) if (e < 10000) e = e * 10 + (*at - '0');
        exponent += below ? -e : e;
    }
    if (at != end) return 0;
    *value = drl__decimal_value(&digits, length, exponent);
    if (negative) *value = -*value;
    return 1;
}

/* -----------------------------------------------------------------------------------------------------------
 * [io.magic] - what a file is instead of what was asked for, by its first bytes.
 * -------------------------------------------------------------------------------------------------------- */

/* Files that people give to a reader in place of the one it wants. */
typedef struct drl__magic {
    const char *bytes;          /* the first bytes of such a file */
    size_t n;                   /* how many they are */
    const char *what;           /* what the file is, and what to do about it */
} drl__magic;

/* PAM files with alpha throughout, or without: pictures of one data set have the same channels. */
#define DRL__CONVERT ": convert it by mogrify -format pam -type TrueColorAlpha, or TrueColor for no alpha"

static const drl__magic drl__magics[] = {
#define DRL__M(bytes, what) { bytes, sizeof(bytes) - 1, what },
    DRL__M("\x1F\x8B", "a gzip file: gunzip it first")
    DRL__M("PK\3\4", "a zip archive (.npz or .pt): unpack it, or save one array with np.save, weights as "
                     "safetensors")
    DRL__M("PK\5\6", "an empty zip archive")
    DRL__M("BZh", "a bzip2 file: bunzip2 it first")
    DRL__M("\xFD" "7zXZ", "an xz file: unxz it first")
    DRL__M("\x28\xB5\x2F\xFD", "a zstd file: unzstd it first")
    DRL__M("\x04\x22\x4D\x18", "an lz4 file: unlz4 it first")
    DRL__M("\x1F\x9D", "a compressed file (.Z): uncompress it first")
    DRL__M("7z\xBC\xAF\x27\x1C", "a 7z archive: unpack it first")
    DRL__M("Rar!", "a RAR archive: unpack it first")
    DRL__M("\x93NUMPY", "an NPY file")
    DRL__M("\x89PNG", "a PNG picture" DRL__CONVERT)
    DRL__M("\xFF\xD8\xFF", "a JPEG picture" DRL__CONVERT)
    DRL__M("GIF8", "a GIF picture" DRL__CONVERT)
    DRL__M("II*\0", "a TIFF picture" DRL__CONVERT)
    DRL__M("MM\0*", "a TIFF picture" DRL__CONVERT)
    DRL__M("%PDF", "a PDF document")
    DRL__M("\x89HDF\r\n", "an HDF5 file: save one of its arrays with np.save")
    DRL__M("MATLAB ", "a MATLAB file: save one of its arrays with np.save")
    DRL__M("GGUF", "a GGUF file: its weights are needed as safetensors")
    DRL__M("PAR1", "a Parquet file: save one array with np.save")
    DRL__M("ARROW1", "an Arrow file: save one array with np.save")
    DRL__M("SQLite format 3", "an SQLite file: save one array with np.save")
    DRL__M("version https://git-lfs",
           "a pointer of Git LFS, not the file that it stands for: run git lfs pull")
#undef DRL__M
};

/* What a file is, by its first bytes; NULL where they are unknown. Asked only about files that a reader
 * refuses, because a few bytes may mislead. */
static const char *drl__magic_of(const unsigned char *p, size_t size)
{
    uint64_t header = 0;
    size_t i, at = 0;
    if (size == 0) return "an empty file";
    for (i = 0; i < sizeof drl__magics / sizeof drl__magics[0]; ++i) {
        const drl__magic *m = &drl__magics[i];
        if (size >= m->n && memcmp(p, m->bytes, m->n) == 0) return m->what;
    }
    if (size >= 12 && memcmp(p, "RIFF", 4) == 0 && memcmp(p + 8, "WEBP", 4) == 0)
        return "a WebP picture" DRL__CONVERT;
    if (size >= 14 && p[0] == 'B' && p[1] == 'M' && !(p[6] | p[7] | p[8] | p[9]))
        return "a BMP picture" DRL__CONVERT;
    if (size >= 3 && p[0] == 'P' && p[1] >= '1' && p[1] <= '7' && (p[2] == '\n' || p[2] == ' '))
        return "a netpbm picture: save all pictures as one array with np.save";
    if (size >= 262 && memcmp(p + 257, "ustar", 5) == 0) return "a tar archive: unpack it first";
    if (size >= 2 && p[0] == 0x80 && p[1] >= 2 && p[1] <= 5)
        return "a pickle (.pkl, .pt): save one array with np.save, weights as safetensors";
    if (size >= 9 && p[8] == '{') {
        for (i = 8; i-- > 0;) header = header << 8 | p[i];
        if (header <= size - 8) return "a safetensors file: models and weights, no data set";
    }
    if (size >= 4 && !p[0] && !p[1] && p[2] >= 8 && p[2] <= 14 && p[3] >= 1 && p[3] <= 8)
        return "an IDX file";
    if (size >= 3 && memcmp(p, "\xEF\xBB\xBF", 3) == 0) at = 3;
    while (at < size && at < 64 && (p[at] == ' ' || p[at] == '\t' || p[at] == '\r' || p[at] == '\n')) ++at;
    if (at < size && p[at] == '<')
        return "a page of HTML or XML, as failed downloads leave it: get the file again";
    for (i = 0; i < size && i < 64; ++i)
        if ((p[i] < 0x20 && p[i] != '\t' && p[i] != '\r' && p[i] != '\n') || p[i] > 0x7E) return NULL;
    return size < 8 ? NULL : "a text (CSV, JSON or the like)";
}

/* Reports that a file is not what is wanted, and what it is instead. */
static drl_status drl__wrong_format(drl_ctx *ctx, const char *source, const char *wanted,
                                    const unsigned char *bytes, size_t size)
{
    const char *what = drl__magic_of(bytes, size);
    if (!what) return drl__fail(ctx, DRL_E_FORMAT, "%s: %z bytes that are not %s", source, size, wanted);
    return drl__fail(ctx, DRL_E_FORMAT, "%s: not %s; this is %s", source, wanted, what);
}

/* -----------------------------------------------------------------------------------------------------------
 * [io.safetensors] - reading: a header is checked whole before anything is used.
 * -------------------------------------------------------------------------------------------------------- */

#define DRL__ST_HEADER_MAX 100000000        /* bytes, as in the format's own library */

/* The index of a header. The header is read twice: first to count, with all pointers NULL, then to fill. */
struct drl_safetensors {
    drl_ctx *ctx;
    void *file;                 /* contents to free on close, or NULL */
    size_t count;               /* tensors */
    size_t meta_count;          /* pairs of metadata */
    size_t string_bytes;        /* of all names, keys and values with their NULs */
    drl_array *arrays;          /* count tensors, in header order */
    const char **pairs;         /* key 0, value 0, key 1, ... in header order */
    uint32_t *by_name;          /* indices of the tensors, sorted by name; a header of 100 MB has < 2^32 */
    uint32_t *by_key;           /* indices of the pairs, sorted by key */
    char *strings;
    drl_safetensors_desc contents;
};

/* Reads a string. While counting, *text is its beginning, kept in `part`; while filling, *text is the whole
 * string, kept in the index. */
static int drl__st_string(drl__scan *s, drl_safetensors *st, char part[DRL__QUOTE_BYTES], const char **text)
{
    char *out = st->strings ? st->strings + st->string_bytes : part;
    size_t length;
    if (!drl__json_string(s, out, st->strings ? SIZE_MAX : DRL__QUOTE_BYTES - 1, &length)) return 0;
    st->string_bytes += length + 1;
    *text = out;
    return 1;
}

static int drl__st_metadata(drl__scan *s, drl_safetensors *st)
{
    char part[DRL__QUOTE_BYTES];
    const char *text;
    int i;
    if (!drl__scan_need(s, '{')) return 0;
    if (drl__scan_next(s, '}')) return 1;
    do {
        for (i = 0; i < 2; ++i) {
            if (i && !drl__scan_need(s, ':')) return 0;
            if (!drl__st_string(s, st, part, &text)) return 0;
            if (st->pairs) st->pairs[2 * st->meta_count + (size_t)i] = text;
        }
        ++st->meta_count;
    } while (drl__scan_next(s, ','));
    return drl__scan_need(s, '}');
}

/* [n, m, ...] into a->shape. `name`: of the tensor, for sentences. */
static int drl__st_shape(drl__scan *s, const char *name, drl_array *a)
{
    if (!drl__scan_need(s, '[')) return 0;
    if (drl__scan_next(s, ']')) return 1;
    do {
        if (a->rank == DRL_RANK_MAX) {
            drl__fail(s->ctx, DRL_E_FORMAT, "%s: tensor '%s' has more than %d axes", s->source, name,
                      DRL_RANK_MAX);
            return 0;
        }
        if (!drl__scan_size(s, &a->shape[a->rank++])) return 0;
    } while (drl__scan_next(s, ','));
    return drl__scan_need(s, ']');
}

static int drl__st_dtype(drl__scan *s, const char *name, drl_array *a)
{
    char text[16], quoted[DRL__QUOTE_BYTES];
    size_t length;
    if (!drl__json_string(s, text, sizeof text - 1, &length)) return 0;
    a->dtype = drl__dtype_of(drl__dtype_name, text);
    if (a->dtype != DRL__DTYPE_END) return 1;
    drl__fail(s->ctx, DRL_E_FORMAT, "%s: tensor '%s' has the unknown dtype '%s'", s->source, name,
              drl__quote(quoted, text));
    return 0;
}

/* [begin, end] of data_offsets. */
static int drl__st_offsets(drl__scan *s, size_t *begin, size_t *end)
{
    return drl__scan_need(s, '[') && drl__scan_size(s, begin) &&
           drl__scan_need(s, ',') && drl__scan_size(s, end) &&
           drl__scan_need(s, ']');
}

/* The three entries of a tensor, in any order, each exactly once. */
static int drl__st_entries(drl__scan *s, const char *name, drl_array *a, size_t *begin, size_t *end)
{
    static const char *const keys[] = { "dtype", "shape", "data_offsets" };
    char text[16];
    size_t length;
    int seen = 0, k, read;
    if (!drl__scan_need(s, '{')) return 0;
    do {
        if (!drl__json_string(s, text, sizeof text - 1, &length) || !drl__scan_need(s, ':')) return 0;
        for (k = 0; k < 3; ++k) if (strcmp(text, keys[k]) == 0) break;
        if (k == 3 || seen & 1 << k) {
            drl__fail(s->ctx, DRL_E_FORMAT, "%s: tensor '%s' has %s key", s->source, name,
                      k == 3 ? "an unknown" : "a duplicate");
            return 0;
        }
        seen |= 1 << k;
        if (k == 0) read = drl__st_dtype(s, name, a);
        else if (k == 1) read = drl__st_shape(s, name, a);
        else read = drl__st_offsets(s, begin, end);
        if (!read) return 0;
    } while (drl__scan_next(s, ','));
    if (!drl__scan_need(s, '}')) return 0;
    for (k = 0; k < 3; ++k)
        if (!(seen & 1 << k)) {
            drl__fail(s->ctx, DRL_E_FORMAT, "%s: tensor '%s' has no %s", s->source, name, keys[k]);
            return 0;
        }
    return 1;
}

/* Reads the description of a tensor into *a, and checks that its data lies in the file and has its size. */
static int drl__st_tensor(drl__scan *s, const unsigned char *data, size_t data_size, drl_array *a)
{
    char name[DRL__QUOTE_BYTES];
    size_t begin = 0, end = 0, bytes;
    drl__quote(name, a->name);
    if (!drl__st_entries(s, name, a, &begin, &end)) return 0;
    if (begin > end || end > data_size) {
        drl__fail(s->ctx, DRL_E_FORMAT, "%s: tensor '%s' lies at %z..%z of %z bytes",
                  s->source, name, begin, end, data_size);
        return 0;
    }
    if (!drl__array_bytes(a, &bytes)) {
        drl__fail(s->ctx, DRL_E_FORMAT,
                  "%s: tensor '%s' has %z bytes at %z..%z, its shape needs more than can be addressed",
                  s->source, name, end - begin, begin, end);
        return 0;
    }
    if (bytes != end - begin) {
        drl__fail(s->ctx, DRL_E_FORMAT, "%s: tensor '%s' has %z bytes at %z..%z, its shape needs %z",
                  s->source, name, end - begin, begin, end, bytes);
        return 0;
    }
    a->data = data + begin;
    a->bytes = bytes;
    a->swapped = drl__host_is_big() && drl__dtype_bytes(a->dtype) > 1;
    return 1;
}

/* Reads the whole header, to count or to fill. */
static int drl__st_header(drl__scan *s, const unsigned char *data, size_t data_size, drl_safetensors *st)
{
    char part[DRL__QUOTE_BYTES];
    int metadata = 0;
    s->at = s->start;
    st->count = st->meta_count = st->string_bytes = 0;
    if (s->at == s->end || *s->at != '{') return drl__scan_fail(s, "expected '{'");
    ++s->at;
    if (!drl__scan_next(s, '}')) {
        do {
            drl_array a;
            const char *name;
            memset(&a, 0, sizeof a);
            if (!drl__st_string(s, st, part, &name) || !drl__scan_need(s, ':')) return 0;
            if (strcmp(name, "__metadata__") == 0) {
                if (metadata++) return drl__scan_fail(s, "a second __metadata__");
                if (!drl__st_metadata(s, st)) return 0;
                continue;
            }
            a.name = name;
            if (!drl__st_tensor(s, data, data_size, &a)) return 0;
            if (st->arrays) st->arrays[st->count] = a;
            ++st->count;
        } while (drl__scan_next(s, ','));
        if (!drl__scan_need(s, '}')) return 0;
    }
    while (s->at < s->end && *s->at == ' ') ++s->at;
    if (s->at < s->end) return drl__scan_fail(s, "only spaces may follow the last '}'");
    return 1;
}

static const char *drl__st_name(const drl_safetensors *st, uint32_t i) { return st->arrays[i].name; }
static const char *drl__st_key(const drl_safetensors *st, uint32_t i)  { return st->pairs[2 * (size_t)i]; }

typedef int (*drl__st_order)(const drl_safetensors *st, uint32_t a, uint32_t b);

static int drl__st_by_place(const drl_safetensors *st, uint32_t a, uint32_t b)
{
    const drl_array *x = &st->arrays[a], *y = &st->arrays[b];
    if (x->data != y->data) return (const unsigned char *)x->data < (const unsigned char *)y->data ? -1 : 1;
    return x->bytes < y->bytes ? -1 : x->bytes > y->bytes;      /* tensors without bytes come first */
}

static int drl__st_by_name(const drl_safetensors *st, uint32_t a, uint32_t b)
{
    return strcmp(drl__st_name(st, a), drl__st_name(st, b));
}

static int drl__st_by_key(const drl_safetensors *st, uint32_t a, uint32_t b)
{
    return strcmp(drl__st_key(st, a), drl__st_key(st, b));
}

/* order <- 0..n-1, sorted. Heap sort: n log n for every file, no memory, no recursion. */
static void drl__st_sort(const drl_safetensors *st, uint32_t *order, size_t n, drl__st_order compare)
{
    size_t build = n / 2, i, child;
    for (i = 0; i < n; ++i) order[i] = (uint32_t)i;
    while (n > 1) {
        uint32_t v;
        if (build) v = order[i = --build];
        else {
            v = order[--n];
            order[n] = order[0];
            i = 0;
        }
        for (; (child = 2 * i + 1) < n; i = child) {
            if (child + 1 < n && compare(st, order[child], order[child + 1]) < 0) ++child;
            if (compare(st, v, order[child]) >= 0) break;
            order[i] = order[child];
        }
        order[i] = v;
    }
}

/* Every byte of the data belongs to exactly one tensor. */
static int drl__st_covers(drl_ctx *ctx, const char *source, const unsigned char *data, size_t data_size,
                          drl_safetensors *st)
{
    char quoted[DRL__QUOTE_BYTES];
    size_t i, at = 0;
    drl__st_sort(st, st->by_name, st->count, drl__st_by_place);     /* by name only later */
    for (i = 0; i < st->count; ++i) {
        const drl_array *a = &st->arrays[st->by_name[i]];
        size_t begin = (size_t)((const unsigned char *)a->data - data);
        if (begin != at) {
            drl__fail(ctx, DRL_E_FORMAT, "%s: tensor '%s' starts at %z, the one before it ends at %z",
                      source, drl__quote(quoted, a->name), begin, at);
            return 0;
        }
        at += a->bytes;
    }
    if (at == data_size) return 1;
    drl__fail(ctx, DRL_E_FORMAT, "%s: %z bytes follow the last tensor, which ends at %z",
              source, data_size - at, at);
    return 0;
}

/* Sorts the names of tensors and the keys of metadata; no two may be equal. */
static int drl__st_index(drl_ctx *ctx, const char *source, drl_safetensors *st)
{
    char quoted[DRL__QUOTE_BYTES];
    size_t i;
    drl__st_sort(st, st->by_name, st->count, drl__st_by_name);
    for (i = 1; i < st->count; ++i)
        if (drl__st_by_name(st, st->by_name[i - 1], st->by_name[i]) == 0) {
            drl__fail(ctx, DRL_E_FORMAT, "%s: two tensors are called '%s'",
                      source, drl__quote(quoted, drl__st_name(st, st->by_name[i])));
            return 0;
        }
    drl__st_sort(st, st->by_key, st->meta_count, drl__st_by_key);
    for (i = 1; i < st->meta_count; ++i)
        if (drl__st_by_key(st, st->by_key[i - 1], st->by_key[i]) == 0) {
            drl__fail(ctx, DRL_E_FORMAT, "%s: two metadata entries are called '%s'",
                      source, drl__quote(quoted, drl__st_key(st, st->by_key[i])));
            return 0;
        }
    return 1;
}

static size_t drl__st_place(drl_safetensors *st, const drl_safetensors *count, void *block)
{
    size_t total = 0;
    drl__place_array(block, &total, 1, sizeof *st);
    st->arrays = (drl_array *)drl__place_array(block, &total, count->count, sizeof(drl_array));
    st->pairs = (const char **)drl__place_array(block, &total, count->meta_count, 2 * sizeof(char *));
    st->by_name = (uint32_t *)drl__place_array(block, &total, count->count, sizeof(uint32_t));
    st->by_key = (uint32_t *)drl__place_array(block, &total, count->meta_count, sizeof(uint32_t));
    st->strings = (char *)drl__place_array(block, &total, count->string_bytes, 1);
    return total;
}

/* One block for an index of the size that was counted; NULL after a failure. */
static drl_safetensors *drl__st_alloc(drl_ctx *ctx, const char *source, const drl_safetensors *count)
{
    drl_safetensors sizes, *st;
    size_t total = drl__st_place(&sizes, count, NULL);
    if (total == SIZE_MAX) {
        drl__fail(ctx, DRL_E_MEMORY, "%s: the index does not fit size_t", source);
        return NULL;
    }
    st = (drl_safetensors *)drl__alloc(ctx, total);
    if (!st) return NULL;
    memset(st, 0, sizeof *st);
    st->ctx = ctx;
    drl__st_place(st, count, st);
    return st;
}

/* *header <- the length of the header, checked against the file. */
static drl_status drl__st_header_length(drl_ctx *ctx, const char *source, const unsigned char *bytes,
                                        size_t size, size_t *header)
{
    uint64_t length = 0;
    int i;
    if (size == 0) return drl__wrong_format(ctx, source, "a safetensors file", bytes, size);
    if (size < 8)
        return drl__fail(ctx, DRL_E_FORMAT, "%s: %z bytes are too few for the length of the header",
                         source, size);
    for (i = 8; i-- > 0;) length = length << 8 | bytes[i];
    if (size > 8 && bytes[8] != '{' && drl__magic_of(bytes, size))      /* another format */
        return drl__wrong_format(ctx, source, "a safetensors file", bytes, size);
    if (length > DRL__ST_HEADER_MAX)
        return drl__fail(ctx, DRL_E_FORMAT, "%s: header of %u bytes, at most %d are allowed",
                         source, length, DRL__ST_HEADER_MAX);
    if (length > size - 8)
        return drl__fail(ctx, DRL_E_FORMAT, "%s: header of %u bytes in a file of %z", source, length, size);
    *header = (size_t)length;
    return DRL_OK;
}

static drl_status drl__st_open(drl_ctx *ctx, const char *source, const unsigned char *bytes, size_t size,
                               drl_safetensors **out)
{
    drl_safetensors count, *st;
    drl__scan s;
    const unsigned char *data;
    size_t header = 0, data_size;
    drl_status status = drl__st_header_length(ctx, source, bytes, size, &header);
    if (status != DRL_OK) return status;
    data = bytes + 8 + header;
    data_size = size - 8 - header;
    s.ctx = ctx;
    s.source = source;
    s.start = bytes + 8;
    s.end = data;
    memset(&count, 0, sizeof count);
    if (!drl__st_header(&s, data, data_size, &count)) return DRL_E_FORMAT;
    st = drl__st_alloc(ctx, source, &count);
    if (!st) return DRL_E_MEMORY;
    if (!drl__st_header(&s, data, data_size, st) ||
        !drl__st_covers(ctx, source, data, data_size, st) ||
        !drl__st_index(ctx, source, st)) {
        drl__free(ctx, st);
        return DRL_E_FORMAT;
    }
    DRL_ASSERT(st->count == count.count);
    DRL_ASSERT(st->meta_count == count.meta_count);
    DRL_ASSERT(st->string_bytes == count.string_bytes);
    st->contents.arrays = st->arrays;
    st->contents.count = st->count;
    st->contents.meta = st->pairs;
    st->contents.meta_count = st->meta_count;
    *out = st;
    return DRL_OK;
}

DRL__CALL(drl_status, drl_safetensors_open_memory,
    (drl_ctx *ctx, const void *data, size_t size, drl_safetensors **out),
    (ctx, data, size, out))
{
    if (!ctx) return DRL_E_ARGUMENT;
    if (!data || !out)
        return drl__fail(ctx, DRL_E_ARGUMENT, "drl_safetensors_open_memory: data or out is NULL");
    return drl__st_open(ctx, "safetensors", (const unsigned char *)data, size, out);
}

#ifndef DRL_NO_STDIO
DRL__CALL(drl_status, drl_safetensors_open,
    (drl_ctx *ctx, const char *path, drl_safetensors **out),
    (ctx, path, out))
{
    drl_safetensors *st;
    void *file = NULL;
    size_t size = 0;
    drl_status status;
    if (!ctx) return DRL_E_ARGUMENT;
    if (!path || !out) return drl__fail(ctx, DRL_E_ARGUMENT, "drl_safetensors_open: path or out is NULL");
    status = drl_file_read(ctx, path, &file, &size);
    if (status != DRL_OK) return status;
    status = drl__st_open(ctx, drl__base_name(path), (const unsigned char *)file, size, &st);
    if (status != DRL_OK) {
        drl_file_free(ctx, file);
        return status;
    }
    st->file = file;
    *out = st;
    return DRL_OK;
}
#endif

DRL_API void drl_safetensors_close(drl_safetensors *st)
{
    drl_ctx *ctx;
    void *file;
    if (!st) return;
    ctx = st->ctx;
    file = st->file;
    drl__free(ctx, st);
    if (file) drl__free(ctx, file);
}

DRL_API const drl_safetensors_desc *drl_safetensors_contents(const drl_safetensors *st)
{
    return st ? &st->contents : NULL;
}

/* The index whose text is `wanted`, by bisection of n sorted ones; SIZE_MAX if there is none. */
static size_t drl__st_search(const drl_safetensors *st, const uint32_t *sorted, size_t n,
                             const char *(*text)(const drl_safetensors *, uint32_t), const char *wanted)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(wanted, text(st, sorted[middle]));
        if (order == 0) return sorted[middle];
        if (order < 0) high = middle;
        else low = middle + 1;
    }
    return SIZE_MAX;
}

DRL_API const drl_array *drl_safetensors_find(const drl_safetensors *st, const char *name)
{
    size_t i;
    if (!st || !name) return NULL;
    i = drl__st_search(st, st->by_name, st->count, drl__st_name, name);
    return i == SIZE_MAX ? NULL : &st->arrays[i];
}

static const char *drl__safetensors_meta(const drl_safetensors *st, const char *key)
{
    size_t i;
    if (!st || !key) return NULL;
    i = drl__st_search(st, st->by_key, st->meta_count, drl__st_key, key);
    return i == SIZE_MAX ? NULL : st->pairs[2 * i + 1];
}

/* Copies the elements of a file's tensor, of whatever byte order, to an array of the same type and size. */
static void drl__st_copy(const drl_array *from, void *to)
{
    size_t i, k, size = drl__dtype_bytes(from->dtype);
    const unsigned char *p = (const unsigned char *)from->data;
    unsigned char *q = (unsigned char *)to;
    for (i = 0; i < from->bytes; i += size)
        for (k = 0; k < size; ++k) q[i + k] = p[i + (from->swapped ? size - 1 - k : k)];
}

/* Whether a file's tensor has the same bits as an array of the same type and size. */
static int drl__st_equal(const drl_array *a, const void *own)
{
    size_t i, k, size = drl__dtype_bytes(a->dtype);
    const unsigned char *p = (const unsigned char *)a->data, *q = (const unsigned char *)own;
    for (i = 0; i < a->bytes; i += size)
        for (k = 0; k < size; ++k)
            if (q[i + k] != p[i + (a->swapped ? size - 1 - k : k)]) return 0;
    return 1;
}

/* Whether a file's tensor has no NaN and no infinity. They are found by the bits of the exponent, which a
 * file has at the end of each number. */
static int drl__st_finite(const drl_array *a)
{
    const unsigned char *p = (const unsigned char *)a->data;
    size_t i, size = drl__dtype_bytes(a->dtype);
    unsigned char rest = size == 8 ? 0xF0 : 0x80;
    if (a->dtype != DRL_DTYPE_F32 && a->dtype != DRL_DTYPE_F64) return 1;
    for (i = size; i <= a->bytes; i += size)
        if ((p[i - 1] & 0x7F) == 0x7F && (p[i - 2] & rest) == rest) return 0;
    return 1;
}

/* Checks that a file has the tensors of `own`, with finite numbers, and no others. The first `fixed` of them
 * must hold the numbers that own has. */
static drl_status drl__st_match(drl_ctx *ctx, const char *who, const drl_safetensors *st,
                                const drl_array *own, size_t count, size_t fixed)
{
    size_t i;
    for (i = 0; i < count; ++i) {
        const drl_array *a = drl_safetensors_find(st, own[i].name);
        int fits = a && a->dtype == own[i].dtype && a->rank == own[i].rank;
        if (!fits || memcmp(a->shape, own[i].shape, (size_t)a->rank * sizeof a->shape[0]))
            return drl__fail(ctx, DRL_E_FORMAT, "%s: '%s' is missing, or of another type or shape", who,
                             own[i].name);
        if (!drl__st_finite(a))
            return drl__fail(ctx, DRL_E_FORMAT, "%s: '%s' has numbers that are not finite", who, own[i].name);
        if (i < fixed && !drl__st_equal(a, own[i].data))
            return drl__fail(ctx, DRL_E_FORMAT, "%s: '%s' has other numbers in the file than here", who,
                             own[i].name);
    }
    if (st->count != count)
        return drl__fail(ctx, DRL_E_FORMAT, "%s: the file has %z tensors; there have to be %z",
                         who, st->count, count);
    return DRL_OK;
}

/* Copies the tensors of a file over those of `own`. drl__st_match has found that they fit. */
static void drl__st_read(const drl_safetensors *st, const drl_array *own, size_t count)
{
    for (; count; ++own, --count)
        drl__st_copy(drl_safetensors_find(st, own->name), (void *)(uintptr_t)own->data);
}

/* -----------------------------------------------------------------------------------------------------------
 * [io.safetensors.write] - writing: the one writer of models, checkpoints and states.
 * -------------------------------------------------------------------------------------------------------- */

/* Makes an array of floats one of F16 or BF16, which lies at `to`: its own memory, or memory of its own.
 * Refuses an element that is infinite in that type, or NaN; by then the elements before it are at `to`. */
static drl_status drl__array_halve(drl_ctx *ctx, const char *who, drl_array *a, drl_dtype dtype, void *to)
{
    const unsigned char *from = (const unsigned char *)a->data;
    unsigned char *halves = (unsigned char *)to;
    char quoted[DRL__QUOTE_BYTES];
    size_t i, count = a->bytes / 4;
    for (i = 0; i < count; ++i) {
        uint32_t bits;
        uint16_t half;
        float value;
        memcpy(&bits, from + 4 * i, 4);
        half = drl__float_to_half(bits, dtype);
        if ((half & 0x7FFF) >= (dtype == DRL_DTYPE_F16 ? 0x7C00 : 0x7F80)) {
            memcpy(&value, &bits, 4);
            return drl__fail(ctx, DRL_E_NUMERIC, "%s: element %z of '%s' is %g; the largest %s is %s", who, i,
                             drl__quote(quoted, a->name), (double)value, drl__dtype_name(dtype),
                             dtype == DRL_DTYPE_F16 ? "65504" : "3.39e38");
        }
        memcpy(halves + 2 * i, &half, 2);
    }
    a->dtype = dtype;
    a->data = to;
    a->bytes = 2 * count;
    return DRL_OK;
}

static void drl__put_json(drl__sink *s, const char *text)
{
    static const char hex[] = "0123456789abcdef";
    drl__put(s, "\"", 1);
    for (; *text; ++text) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\') drl__put(s, "\\", 1);
        if (c >= 0x20) drl__put(s, text, 1);
        else {
            char escape[6] = { '\\', 'u', '0', '0', '0', '0' };
            escape[4] = hex[c >> 4];
            escape[5] = hex[c & 15];
            drl__put(s, escape, 6);
        }
    }
    drl__put(s, "\"", 1);
}

static void drl__put_st_header(drl__sink *s, const drl_safetensors_desc *d)
{
    size_t i, offset = 0;
    int k;
    drl__put(s, "{", 1);
    if (d->meta_count) {
        drl__put_text(s, "\"__metadata__\":{");
        for (i = 0; i < 2 * d->meta_count; ++i) {
            if (i) drl__put(s, i % 2 ? ":" : ",", 1);
            drl__put_json(s, d->meta[i]);
        }
        drl__put(s, "}", 1);
    }
    for (i = 0; i < d->count; ++i) {
        const drl_array *a = &d->arrays[i];
        if (i || d->meta_count) drl__put(s, ",", 1);
        drl__put_json(s, a->name);
        drl__put_text(s, ":{\"dtype\":\"");
        drl__put_text(s, drl__dtype_name(a->dtype));
        drl__put_text(s, "\",\"shape\":[");
        for (k = 0; k < a->rank; ++k) {
            if (k) drl__put(s, ",", 1);
            drl__put_number(s, a->shape[k]);
        }
        drl__put_text(s, "],\"data_offsets\":[");
        drl__put_number(s, offset);
        drl__put(s, ",", 1);
        drl__put_number(s, offset += a->bytes);
        drl__put_text(s, "]}");
    }
    drl__put(s, "}", 1);
}

static void drl__put_st(drl__sink *s, const drl_safetensors_desc *d, size_t header)
{
    size_t i;
    for (i = 0; i < 8; ++i) {
        unsigned char c = (unsigned char)((uint64_t)header >> 8 * i & 255);
        drl__put(s, &c, 1);
    }
    drl__put_st_header(s, d);
    drl__put_fill(s, ' ', 8 + header - s->at);
    for (i = 0; i < d->count; ++i) drl__put_array(s, &d->arrays[i]);
}

static drl_status drl__st_text_check(drl_ctx *ctx, const char *who, const char *kind, const char *text)
{
    size_t left, n;
    if (!text) return drl__fail(ctx, DRL_E_ARGUMENT, "%s: %s is NULL", who, kind);
    for (left = strlen(text); left; text += n, left -= n) {
        n = drl__utf8_bytes((const unsigned char *)text, left);
        if (n == 0) return drl__fail(ctx, DRL_E_ARGUMENT, "%s: %s is not UTF-8", who, kind);
    }
    return DRL_OK;
}

/* *bytes <- the data of all tensors. Refuses what the reader would refuse. */
static drl_status drl__st_plan_arrays(drl_ctx *ctx, const char *who, const drl_safetensors_desc *d,
                                      size_t *bytes)
{
    char quoted[DRL__QUOTE_BYTES];
    drl_status status;
    size_t i, k;
    *bytes = 0;
    for (i = 0; i < d->count; ++i) {
        const drl_array *a = &d->arrays[i];
        status = drl__st_text_check(ctx, who, "the name of a tensor", a->name);
        if (status == DRL_OK) status = drl__array_check(ctx, who, a);
        if (status != DRL_OK) return status;
        if (strcmp(a->name, "__metadata__") == 0)
            return drl__fail(ctx, DRL_E_ARGUMENT, "%s: no tensor can be called __metadata__", who);
        for (k = 0; k < i; ++k)
            if (strcmp(a->name, d->arrays[k].name) == 0)
                return drl__fail(ctx, DRL_E_ARGUMENT, "%s: two tensors are called '%s'",
                                 who, drl__quote(quoted, a->name));
        if (!drl__add_fits(*bytes, a->bytes, bytes))
            return drl__fail(ctx, DRL_E_SHAPE, "%s: the file does not fit size_t", who);
    }
    return DRL_OK;
}

static drl_status drl__st_plan_metadata(drl_ctx *ctx, const char *who, const drl_safetensors_desc *d)
{
    char quoted[DRL__QUOTE_BYTES];
    drl_status status;
    size_t i, k;
    for (i = 0; i < 2 * d->meta_count; ++i) {
        status = drl__st_text_check(ctx, who, "a metadata string", d->meta[i]);
        if (status != DRL_OK) return status;
        for (k = i % 2 ? i : 0; k < i; k += 2)
            if (strcmp(d->meta[i], d->meta[k]) == 0)
                return drl__fail(ctx, DRL_E_ARGUMENT, "%s: two metadata entries are called '%s'",
                                 who, drl__quote(quoted, d->meta[i]));
    }
    return DRL_OK;
}

/* *header <- its padded length, *total <- bytes of the file. Refuses what the reader would refuse. */
static drl_status drl__st_plan(drl_ctx *ctx, const char *who, const drl_safetensors_desc *d, size_t *header,
                               size_t *total)
{
    drl__sink sink;
    drl_status status;
    size_t bytes;
    if (!ctx) return DRL_E_ARGUMENT;
    if (!d || (d->count && !d->arrays) || (d->meta_count && !d->meta))
        return drl__fail(ctx, DRL_E_ARGUMENT, "%s: desc, its arrays or its metadata is NULL", who);
    status = drl__zeroed(ctx, "drl_safetensors_desc", d->canary);
    if (status != DRL_OK) return status;
    status = drl__st_plan_arrays(ctx, who, d, &bytes);
    if (status == DRL_OK) status = drl__st_plan_metadata(ctx, who, d);
    if (status != DRL_OK) return status;
    memset(&sink, 0, sizeof sink);
    drl__put_st_header(&sink, d);
    *header = drl__round_up(sink.at + 8, 64) - 8;
    if (*header > DRL__ST_HEADER_MAX)
        return drl__fail(ctx, DRL_E_ARGUMENT, "%s: header of %z bytes, at most %d are allowed",
                         who, *header, DRL__ST_HEADER_MAX);
    if (!drl__add_fits(bytes, 8 + *header, total))
        return drl__fail(ctx, DRL_E_SHAPE, "%s: the file does not fit size_t", who);
    return DRL_OK;
}

/* Makes *sink write to dst, and sets *written to the `needed` bytes. Fails if dst holds fewer. dst NULL with
 * capacity 0 asks for *written alone. */
static drl_status drl__sink_memory(drl_ctx *ctx, const char *who, void *dst, size_t capacity, size_t needed,
                                   drl__sink *sink, size_t *written)
{
    memset(sink, 0, sizeof *sink);
    if (!written) return drl__fail(ctx, DRL_E_ARGUMENT, "%s: written is NULL", who);
    if (!dst && capacity)
        return drl__fail(ctx, DRL_E_ARGUMENT,
                         "%s: dst is NULL, capacity %z; the size is asked for with 0", who, capacity);
    if (dst && needed > capacity)
        return drl__fail(ctx, DRL_E_SHAPE, "%s: %z bytes do not fit the capacity of %z", who, needed,
                         capacity);
    *written = needed;
    sink->memory = (unsigned char *)dst;
    return DRL_OK;
}

/* `who` is the function that the sentences name. */
static drl_status drl__st_write_memory(drl_ctx *ctx, const char *who, const drl_safetensors_desc *desc,
                                       void *dst, size_t capacity, size_t *written)
{
    drl__sink sink;
    size_t header = 0, total = 0;
    drl_status status = drl__st_plan(ctx, who, desc, &header, &total);
    if (status != DRL_OK) return status;
    status = drl__sink_memory(ctx, who, dst, capacity, total, &sink, written);
    if (status != DRL_OK || !dst) return status;
    drl__put_st(&sink, desc, header);
    DRL_ASSERT(sink.at == total);
    return DRL_OK;
}

DRL__CALL(drl_status, drl_safetensors_write_memory,
    (drl_ctx *ctx, const drl_safetensors_desc *desc, void *dst, size_t capacity, size_t *written),
    (ctx, desc, dst, capacity, written))
{
    return drl__st_write_memory(ctx, "drl_safetensors_write_memory", desc, dst, capacity, written);
}

#ifndef DRL_NO_STDIO
DRL__CALL(drl_status, drl_safetensors_write_file,
    (drl_ctx *ctx, const char *path, const drl_safetensors_desc *desc),
    (ctx, path, desc))
{
    drl__output out;
    size_t header = 0, total = 0;
    drl_status status = drl__st_plan(ctx, "drl_safetensors_write_file", desc, &header, &total);
    if (status != DRL_OK) return status;
    if (!path) return drl__fail(ctx, DRL_E_ARGUMENT, "drl_safetensors_write_file: path is NULL");
    status = drl__output_open(&out, ctx, path);
    if (status != DRL_OK) return status;
    drl__put_st(&out.sink, desc, header);
    return drl__output_close(&out);
}
#endif

/* -----------------------------------------------------------------------------------------------------------
 * [io.npy] - NPY and IDX, reading and writing.
 * -------------------------------------------------------------------------------------------------------- */

/* Reads a Python string without escapes. out receives its first `capacity` bytes and a NUL. */
static int drl__npy_string(drl__scan *s, char *out, size_t capacity)
{
    size_t n = 0;
    unsigned char quote;
    if (drl__scan_next(s, '\'')) quote = '\'';
    else if (drl__scan_next(s, '"')) quote = '"';
    else return drl__scan_fail(s, "expected a string");
    for (; s->at < s->end && *s->at != quote; ++s->at) {
        if (*s->at < 0x20 || *s->at > 0x7E || *s->at == '\\')
            return drl__scan_fail(s, "unexpected character in a string");
        if (n < capacity) out[n++] = (char)*s->at;
    }
    if (s->at == s->end) return drl__scan_fail(s, "string without end");
    ++s->at;
    out[n] = 0;
    return 1;
}

static int drl__npy_bool(drl__scan *s, int *out)
{
    size_t left;
    drl__scan_space(s);
    left = (size_t)(s->end - s->at);
    *out = left >= 4 && memcmp(s->at, "True", 4) == 0;
    if (!*out && (left < 5 || memcmp(s->at, "False", 5) != 0))
        return drl__scan_fail(s, "expected True or False");
    s->at += *out ? 4 : 5;
    return 1;
}

/* Element types such as "<f4". */
static drl_status drl__npy_dtype(const drl__scan *s, const char *text, drl_array *a)
{
    char quoted[DRL__QUOTE_BYTES];
    int big = text[0] == '>';
    a->dtype = DRL__DTYPE_END;
    if (text[0] == '<' || text[0] == '>' || text[0] == '|')
        a->dtype = drl__dtype_of(drl__npy_name, text[1] ? text + 1 : "none");
    if (a->dtype == DRL__DTYPE_END || (text[0] == '|' && drl__dtype_bytes(a->dtype) > 1))
        return drl__fail(s->ctx, DRL_E_UNSUPPORTED, "%s: elements of type '%s' cannot be read",
                         s->source, drl__quote(quoted, text));
    a->swapped = drl__dtype_bytes(a->dtype) > 1 && drl__host_is_big() != big;
    return DRL_OK;
}

/* The tuple of a shape into a->shape. */
static drl_status drl__npy_shape(drl__scan *s, drl_array *a)
{
    int comma = 1;
    if (!drl__scan_need(s, '(')) return DRL_E_FORMAT;
    while (!drl__scan_next(s, ')')) {
        if (!comma) {
            drl__scan_fail(s, "expected ',' or ')'");
            return DRL_E_FORMAT;
        }
        if (a->rank == DRL_RANK_MAX)
            return drl__fail(s->ctx, DRL_E_UNSUPPORTED, "%s: more than %d axes", s->source, DRL_RANK_MAX);
        if (!drl__scan_size(s, &a->shape[a->rank++])) return DRL_E_FORMAT;
        comma = drl__scan_next(s, ',');
    }
    if (a->rank == 1 && !comma) {
        drl__scan_fail(s, "(n) is a number, (n,) a shape");
        return DRL_E_FORMAT;
    }
    return DRL_OK;
}

/* The type of the elements into a->dtype. */
static drl_status drl__npy_descr(drl__scan *s, drl_array *a)
{
    char text[16];
    if (drl__scan_next(s, '['))
        return drl__fail(s->ctx, DRL_E_UNSUPPORTED, "%s: elements with fields cannot be read", s->source);
    if (!drl__npy_string(s, text, sizeof text - 1)) return DRL_E_FORMAT;
    return drl__npy_dtype(s, text, a);
}

/* Reads the dictionary of three entries, in any order, and the white space behind it. */
static drl_status drl__npy_header(drl__scan *s, drl_array *a, int *fortran)
{
    static const char *const keys[] = { "descr", "fortran_order", "shape" };
    char text[16];
    int seen = 0, k;
    if (!drl__scan_need(s, '{')) return DRL_E_FORMAT;
    do {
        drl_status status;
        if (seen && drl__scan_next(s, '}')) {       /* Python writes a comma also behind the last entry */
            --s->at;
            break;
        }
        if (!drl__npy_string(s, text, sizeof text - 1) || !drl__scan_need(s, ':')) return DRL_E_FORMAT;
        for (k = 0; k < 3; ++k) if (strcmp(text, keys[k]) == 0) break;
        if (k == 3 || seen & 1 << k)
            return drl__fail(s->ctx, DRL_E_FORMAT, "%s: the header has %s key '%s'", s->source,
                             k == 3 ? "the unknown" : "twice the", text);
        seen |= 1 << k;
        if (k == 0) status = drl__npy_descr(s, a);
        else if (k == 1) status = drl__npy_bool(s, fortran) ? DRL_OK : DRL_E_FORMAT;
        else status = drl__npy_shape(s, a);
        if (status != DRL_OK) return status;
    } while (drl__scan_next(s, ','));
    if (!drl__scan_need(s, '}')) return DRL_E_FORMAT;
    for (k = 0; k < 3; ++k)
        if (!(seen & 1 << k))
            return drl__fail(s->ctx, DRL_E_FORMAT, "%s: the header has no %s", s->source, keys[k]);
    while (s->at < s->end && *s->at == ' ') ++s->at;
    if (s->end - s->at == 1 && *s->at == '\n') return DRL_OK;
    drl__scan_fail(s, "only spaces and one line feed may follow the '}'");
    return DRL_E_FORMAT;
}

/* *prefix <- bytes before the header, *header <- bytes of the header, checked against the file. */
static drl_status drl__npy_lengths(drl_ctx *ctx, const char *source, const unsigned char *bytes, size_t size,
                                   size_t *prefix, size_t *header)
{
    size_t i;
    if (size < 6 || memcmp(bytes, "\x93NUMPY", 6) != 0)
        return drl__wrong_format(ctx, source, "an NPY file", bytes, size);
    if (size < 10)
        return drl__fail(ctx, DRL_E_FORMAT, "%s: an NPY file that is cut off after %z bytes", source, size);
    if (bytes[6] < 1 || bytes[6] > 3 || bytes[7] != 0)
        return drl__fail(ctx, DRL_E_FORMAT, "%s: NPY version %d.%d, known are 1.0, 2.0 and 3.0",
                         source, bytes[6], bytes[7]);
    *prefix = bytes[6] == 1 ? 10 : 12;
    if (size < *prefix)
        return drl__fail(ctx, DRL_E_FORMAT, "%s: %z bytes are too few for the length of the header",
                         source, size);
    *header = 0;
    for (i = *prefix; i-- > 8;) *header = *header << 8 | bytes[i];
    if (*header > size - *prefix)
        return drl__fail(ctx, DRL_E_FORMAT, "%s: header of %z bytes in a file of %z", source, *header, size);
    return DRL_OK;
}

/* *fortran <- 1 if the first axis is the fastest (Fortran order). Arrays in that order are refused where
 * fortran is NULL. */
static drl_status drl__npy_open(drl_ctx *ctx, const char *source, const unsigned char *bytes, size_t size,
                                drl_array *out, int *fortran)
{
    drl__scan s;
    drl_array a;
    size_t prefix = 0, header = 0;
    int first_fastest = 0;
    drl_status status = drl__npy_lengths(ctx, source, bytes, size, &prefix, &header);
    if (status != DRL_OK) return status;
    memset(&a, 0, sizeof a);
    a.name = "";
    s.ctx = ctx;
    s.source = source;
    s.start = s.at = bytes + prefix;
    s.end = s.start + header;
    status = drl__npy_header(&s, &a, &first_fastest);
    if (status != DRL_OK) return status;
    if (a.rank < 2) first_fastest = 0;
    if (first_fastest && !fortran)
        return drl__fail(ctx, DRL_E_UNSUPPORTED,
                         "%s: %d axes in Fortran order cannot be read in place; save np.ascontiguousarray(x)",
                         source, a.rank);
    status = drl__array_attach(ctx, source, &a, s.end, size - prefix - header);
    if (status != DRL_OK) return status;
    if (fortran) *fortran = first_fastest;
    *out = a;
    return DRL_OK;
}

DRL__CALL(drl_status, drl_npy_parse,
    (drl_ctx *ctx, const void *data, size_t size, drl_array *out),
    (ctx, data, size, out))
{
    if (!ctx) return DRL_E_ARGUMENT;
    if (!data || !out) return drl__fail(ctx, DRL_E_ARGUMENT, "drl_npy_parse: data or out is NULL");
    return drl__npy_open(ctx, "NPY", (const unsigned char *)data, size, out, NULL);
}

#define DRL__NPY_HEADER_MAX 256     /* 10 + 55 + 8 axes of 22 bytes, to the next multiple of 64 */

/* text <- everything before the data; *total <- bytes of the file. */
static drl_status drl__npy_plan(drl_ctx *ctx, const char *who, const drl_array *a, drl__sink *header,
                                char text[DRL__NPY_HEADER_MAX], size_t *total)
{
    static const unsigned char magic[] = { 0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, 0, 0 };
    drl_status status;
    int i;
    if (!ctx) return DRL_E_ARGUMENT;
    status = drl__array_check(ctx, who, a);
    if (status != DRL_OK) return status;
    if (!drl__npy_name(a->dtype)[0])
        return drl__fail(ctx, DRL_E_ARGUMENT, "%s: NPY has no %s", who, drl__dtype_name(a->dtype));
    memset(header, 0, sizeof *header);
    header->memory = (unsigned char *)text;
    drl__put(header, magic, sizeof magic);
    drl__put_text(header, "{'descr': '");
    drl__put(header, drl__dtype_bytes(a->dtype) > 1 ? "<" : "|", 1);
    drl__put_text(header, drl__npy_name(a->dtype));
    drl__put_text(header, "', 'fortran_order': False, 'shape': (");
    for (i = 0; i < a->rank; ++i) {
        if (i) drl__put(header, " ", 1);
        drl__put_number(header, a->shape[i]);
        if (i + 1 < a->rank || i == 0) drl__put(header, ",", 1);
    }
    drl__put_text(header, "), }");
    drl__put_fill(header, ' ', drl__round_up(header->at + 1, 64) - 1 - header->at);
    drl__put(header, "\n", 1);
    text[8] = (char)((header->at - 10) & 255);
    text[9] = (char)((header->at - 10) >> 8);
    if (!drl__add_fits(header->at, a->bytes, total))
        return drl__fail(ctx, DRL_E_SHAPE, "%s: the file does not fit size_t", who);
    return DRL_OK;
}

DRL__CALL(drl_status, drl_npy_write_memory,
    (drl_ctx *ctx, const drl_array *array, void *dst, size_t capacity, size_t *written),
    (ctx, array, dst, capacity, written))
{
    static const char who[] = "drl_npy_write_memory";
    char text[DRL__NPY_HEADER_MAX];
    drl__sink header, sink;
    size_t total = 0;
    drl_status status = drl__npy_plan(ctx, who, array, &header, text, &total);
    if (status != DRL_OK) return status;
    status = drl__sink_memory(ctx, who, dst, capacity, total, &sink, written);
    if (status != DRL_OK || !dst) return status;
    drl__put(&sink, text, header.at);
    drl__put_array(&sink, array);
    DRL_ASSERT(sink.at == total);
    return DRL_OK;
}

#ifndef DRL_NO_STDIO
DRL__CALL(drl_status, drl_npy_write_file,
    (drl_ctx *ctx, const char *path, const drl_array *array),
    (ctx, path, array))
{
    char text[DRL__NPY_HEADER_MAX];
    drl__sink header;
    drl__output out;
    size_t total;
    drl_status status = drl__npy_plan(ctx, "drl_npy_write_file", array, &header, text, &total);
    if (status != DRL_OK) return status;
    if (!path) return drl__fail(ctx, DRL_E_ARGUMENT, "drl_npy_write_file: path is NULL");
    status = drl__output_open(&out, ctx, path);
    if (status != DRL_OK) return status;
    drl__put(&out.sink, text, header.at);
    drl__put_array(&out.sink, array);
    return drl__output_close(&out);
}
#endif

static drl_status drl__idx_open(drl_ctx *ctx, const char *source, const unsigned char *bytes, size_t size,
                                drl_array *out)
{
    drl_array a;
    size_t header;
    drl_status status;
    int i;
    memset(&a, 0, sizeof a);
    a.name = "";
    if (size < 4 || bytes[0] || bytes[1]) return drl__wrong_format(ctx, source, "an IDX file", bytes, size);
    switch (bytes[2]) {
    case 0x08: a.dtype = DRL_DTYPE_U8;  break;
    case 0x09: a.dtype = DRL_DTYPE_I8;  break;
    case 0x0B: a.dtype = DRL_DTYPE_I16; break;
    case 0x0C: a.dtype = DRL_DTYPE_I32; break;
    case 0x0D: a.dtype = DRL_DTYPE_F32; break;
    case 0x0E: a.dtype = DRL_DTYPE_F64; break;
    default: return drl__fail(ctx, DRL_E_FORMAT, "%s: %d is no element type of IDX", source, bytes[2]);
    }
    a.rank = bytes[3];
    if (a.rank < 1) return drl__fail(ctx, DRL_E_FORMAT, "%s: an IDX file without axes", source);
    if (a.rank > DRL_RANK_MAX)
        return drl__fail(ctx, DRL_E_UNSUPPORTED, "%s: %d axes, at most %d can be read",
                         source, a.rank, DRL_RANK_MAX);
    header = 4 + 4 * (size_t)a.rank;
    if (size < header)
        return drl__fail(ctx, DRL_E_FORMAT, "%s: %z bytes are too few for %d axes", source, size, a.rank);
    for (i = 0; i < a.rank; ++i) {
        const unsigned char *p = bytes + 4 + 4 * i;
        a.shape[i] = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
    }
    a.swapped = drl__dtype_bytes(a.dtype) > 1 && !drl__host_is_big();
    status = drl__array_attach(ctx, source, &a, bytes + header, size - header);
    if (status == DRL_OK) *out = a;
    return status;
}

/* -----------------------------------------------------------------------------------------------------------
 * [io.netpbm] - pictures: PGM (P5) and PPM (P6) have a header of width, height and maxval, PAM (P7) one of
 * words and numbers. Behind it lie rows of pixels, in 1 byte a number or in 2, the higher one first.
 * -------------------------------------------------------------------------------------------------------- */

enum { DRL__PNM_WIDTH, DRL__PNM_HEIGHT, DRL__PNM_DEPTH, DRL__PNM_MAXVAL, DRL__PNM_FIELDS };

/* The fields as PAM names them, and the largest value of each. */
static const struct { const char *name; size_t most; } drl__pnm_field[DRL__PNM_FIELDS] = {
    { "WIDTH", INT32_MAX },
    { "HEIGHT", INT32_MAX },
    { "DEPTH", 4 },
    { "MAXVAL", 65535 }
};

static int drl__pnm_space(unsigned char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

/* The first bytes are those of a picture that can be read. */
static int drl__pnm_magic(const unsigned char *p, size_t size)
{
    return size >= 3 && p[0] == 'P' && p[1] >= '5' && p[1] <= '7' && (p[2] == '#' || drl__pnm_space(p[2]));
}

/* Skips white space and comments, which go from a '#' to the end of the line; one byte at least. */
static int drl__pnm_gap(drl__scan *s)
{
    const unsigned char *from = s->at;
    drl__scan_space(s);
    while (s->at < s->end && *s->at == '#') {
        while (s->at < s->end && *s->at != '\n' && *s->at != '\r') ++s->at;
        drl__scan_space(s);
    }
    return s->at > from ? 1 : drl__scan_fail(s, "expected white space");
}

static int drl__pnm_number(drl__scan *s, int field, size_t value[DRL__PNM_FIELDS])
{
    size_t most = drl__pnm_field[field].most;
    if (!drl__pnm_gap(s) || !drl__scan_size(s, &value[field])) return 0;
    if (value[field] >= 1 && value[field] <= most) return 1;
    drl__fail(s->ctx, DRL_E_FORMAT, "%s: %s is %z; 1 to %z are possible", s->source,
              drl__pnm_field[field].name, value[field], most);
    return 0;
}

/* Reads a word of capitals, behind white space. */
static int drl__pnm_word(drl__scan *s, char word[DRL__QUOTE_BYTES])
{
    size_t n = 0;
    if (!drl__pnm_gap(s)) return 0;
    for (; s->at < s->end && ((*s->at >= 'A' && *s->at <= 'Z') || *s->at == '_'); ++s->at)
        if (n + 1 < DRL__QUOTE_BYTES) word[n++] = (char)*s->at;
    word[n] = 0;
    return n > 0 ? 1 : drl__scan_fail(s, "expected a word of capitals");
}

/* What the channels of a PAM file mean has to be what a data set takes them for. */
static int drl__pam_type(const drl__scan *s, const char *type, size_t depth)
{
    static const struct { const char *type; size_t depth; } known[] = {
        { "BLACKANDWHITE", 1 },
        { "GRAYSCALE", 1 },
        { "BLACKANDWHITE_ALPHA", 2 },
        { "GRAYSCALE_ALPHA", 2 },
        { "RGB", 3 },
        { "RGB_ALPHA", 4 }
    };
    size_t i;
    for (i = 0; i < sizeof known / sizeof known[0]; ++i)
        if (depth == known[i].depth && strcmp(type, known[i].type) == 0) return 1;
    drl__fail(s->ctx, DRL_E_FORMAT,
              "%s: TUPLTYPE %s of DEPTH %z; GRAYSCALE has 1, GRAYSCALE_ALPHA 2, RGB 3, RGB_ALPHA 4",
              s->source, type, depth);
    return 0;
}

/* Reads the lines of PAM, in any order. TUPLTYPE may be missing. */
static int drl__pam_header(drl__scan *s, size_t value[DRL__PNM_FIELDS])
{
    char word[DRL__QUOTE_BYTES], type[DRL__QUOTE_BYTES] = "";
    int i, twice;
    for (;;) {
        if (!drl__pnm_word(s, word)) return 0;
        if (strcmp(word, "ENDHDR") == 0) break;
        for (i = 0; i < DRL__PNM_FIELDS; ++i) if (strcmp(word, drl__pnm_field[i].name) == 0) break;
        twice = i < DRL__PNM_FIELDS ? value[i] != 0 : type[0] != 0;
        if (twice || (i == DRL__PNM_FIELDS && strcmp(word, "TUPLTYPE") != 0)) {
            drl__fail(s->ctx, DRL_E_FORMAT, "%s: the header has %s word %s", s->source,
                      twice ? "twice the" : "the unknown", word);
            return 0;
        }
        if (i < DRL__PNM_FIELDS ? !drl__pnm_number(s, i, value) : !drl__pnm_word(s, type)) return 0;
    }
    for (i = 0; i < DRL__PNM_FIELDS; ++i)
        if (!value[i]) {
            drl__fail(s->ctx, DRL_E_FORMAT, "%s: the header has no %s", s->source, drl__pnm_field[i].name);
            return 0;
        }
    return !type[0] || drl__pam_type(s, type, value[DRL__PNM_DEPTH]);
}

/* *out <- a view of the pixels (height,width,channels), *maxval <- the number that means white. */
static drl_status drl__pnm_open(drl_ctx *ctx, const char *source, const unsigned char *bytes, size_t size,
                                drl_array *out, int *maxval)
{
    size_t value[DRL__PNM_FIELDS] = { 0, 0, 0, 0 };
    drl__scan s;
    drl_array a;
    int pam = bytes[1] == '7', ok;
    drl_status status;
    s.ctx = ctx;
    s.source = source;
    s.start = bytes;
    s.at = bytes + 2;
    s.end = bytes + size;
    if (pam) ok = drl__pam_header(&s, value);
    else {
        value[DRL__PNM_DEPTH] = bytes[1] == '5' ? 1 : 3;
        ok = drl__pnm_number(&s, DRL__PNM_WIDTH, value) && drl__pnm_number(&s, DRL__PNM_HEIGHT, value) &&
             drl__pnm_number(&s, DRL__PNM_MAXVAL, value);
    }
    if (!ok) return DRL_E_FORMAT;
    /* One byte of white space ends the header; of what follows, every byte is a pixel's. */
    if (s.at == s.end || (pam ? *s.at != '\n' : !drl__pnm_space(*s.at))) {
        drl__scan_fail(&s, pam ? "expected a new line" : "expected white space");
        return DRL_E_FORMAT;
    }
    ++s.at;
    memset(&a, 0, sizeof a);
    a.name = "";
    a.dtype = value[DRL__PNM_MAXVAL] > 255 ? DRL_DTYPE_U16 : DRL_DTYPE_U8;
    a.swapped = a.dtype == DRL_DTYPE_U16 && !drl__host_is_big();
    a.rank = 3;
    a.shape[0] = value[DRL__PNM_HEIGHT];
    a.shape[1] = value[DRL__PNM_WIDTH];
    a.shape[2] = value[DRL__PNM_DEPTH];
    status = drl__array_attach(ctx, source, &a, s.at, (size_t)(s.end - s.at));
    if (status != DRL_OK) return status;
    *out = a;
    *maxval = (int)value[DRL__PNM_MAXVAL];
    return DRL_OK;
}

/* -----------------------------------------------------------------------------------------------------------
 * [io.dataset] - image data sets from the files that people have.
 * -------------------------------------------------------------------------------------------------------- */

#define DRL__CIFAR_PIXELS 1024
#define DRL__CIFAR_ROW (1 + 3 * DRL__CIFAR_PIXELS)          /* CIFAR-100 has one byte more in front */

enum { DRL__DS_IMAGES, DRL__DS_LABELS, DRL__DS_CIFAR };

/* One file of a data set. Pixel (n,y,x,c) is the element
 * first + n * step[0] + y * step[1] + x * step[2] + c * step[3] of an image that is not cut into tiles. */
typedef struct drl__ds_part {
    drl_array a;                /* the elements; for CIFAR the bytes of all rows */
    int kind;                   /* DRL__DS_ */
    size_t count;               /* images, or labels */
    int height, width, channels;
    int cut;                    /* 1: into tiles. Height and width are a tile's, count has those kept */
    size_t down, across;        /* tiles below and beside each other; 1 and 1 where images stay whole */
    size_t tiles;               /* of all images; images where they stay whole */
    size_t step[4];             /* elements from one image, row, column, channel to the next */
    size_t first;               /* element where the first image begins; in CIFAR behind its label */
    size_t label, label_step;   /* element of the first label; elements from one label to the next */
    int cifar100;               /* 1: CIFAR-100, with two labels a row */
    int maxval;                 /* of a netpbm picture, which says its range; 0: another file */
    double low, high;           /* the elements that become -1 and 1 */
} drl__ds_part;

/* Element i, of any type that NPY has. */
static double drl__array_double(const drl_array *a, size_t i)
{
    uint64_t v = drl__array_bits(a, i);
    uint32_t bits = (uint32_t)v;
    float f;
    double d;
    switch (a->dtype) {
    case DRL_DTYPE_F16:  bits = drl__half_bits(bits); memcpy(&f, &bits, 4); return (double)f;
    case DRL_DTYPE_F32:  memcpy(&f, &bits, 4); return (double)f;
    case DRL_DTYPE_F64:  memcpy(&d, &v, 8); return d;
    case DRL_DTYPE_BOOL: return v ? 1 : 0;
    case DRL_DTYPE_I64: case DRL_DTYPE_I32: case DRL_DTYPE_I16: case DRL_DTYPE_I8:
        return v >> 63 ? -(double)(0 - v) : (double)v;
    default:             return (double)v;
    }
}

/* All rows are of CIFAR-10, or of CIFAR-100: the bytes fit, and so does every label. */
static int drl__ds_cifar_rows(const drl_blob *blob, int hundred)
{
    const unsigned char *p = (const unsigned char *)blob->data;
    size_t row = DRL__CIFAR_ROW + (size_t)hundred, i;
    if (blob->bytes == 0 || blob->bytes % row) return 0;
    for (i = 0; i < blob->bytes; i += row) {
        if (p[i] > (hundred ? 19 : 9)) return 0;
        if (hundred && p[i + 1] > 99) return 0;
    }
    return 1;
}

static void drl__ds_cifar(const drl_blob *blob, int hundred, int coarse, drl__ds_part *part)
{
    size_t row = DRL__CIFAR_ROW + (size_t)hundred;
    part->kind = DRL__DS_CIFAR;
    part->cifar100 = hundred;
    part->count = blob->bytes / row;
    part->a = drl_array_of("", DRL_DTYPE_U8, 1, &blob->bytes, blob->data);
    part->height = part->width = 32;
    part->channels = 3;
    part->step[0] = part->label_step = row;
    part->step[1] = 32;
    part->step[2] = 1;
    part->step[3] = DRL__CIFAR_PIXELS;
    part->first = 1 + (size_t)hundred;
    part->label = hundred && !coarse;
}

/* The readings of rank 3: grey images (N,H,W), or one image (H,W,C) or (C,H,W); *one says which. */
static drl_status drl__ds_rank3(drl_ctx *ctx, const char *source, const size_t *shape,
                                const drl_dataset_desc *d, int *one)
{
    int first = d->layout == DRL_LAYOUT_NCHW, unclear, h = first ? 1 : 0, c = first ? 0 : 2;
    int grey = (d->channels == 0 || d->channels == 1) &&
               (d->height == 0 || shape[1] == (size_t)d->height) &&
               (d->width == 0 || shape[2] == (size_t)d->width);
    int single = shape[c] <= 4 &&
                 (d->channels == 0 || shape[c] == (size_t)d->channels) &&
                 (d->height == 0 || shape[h] == (size_t)d->height) &&
                 (d->width == 0 || shape[h + 1] == (size_t)d->width);
    *one = !grey;
    if (!grey && !single)
        return drl__fail(ctx, DRL_E_SHAPE,
                         "%s: %z x %z x %z are no images of %d x %d x %d (0: any), as the description wants "
                         "them", source, shape[0], shape[1], shape[2], d->height, d->width, d->channels);
    if (!grey) return DRL_OK;
    /* Grey images that are narrow, or three or four, may be one picture in colours. */
    unclear = first ? d->channels == 0 && d->width == 0 : single;
    if (unclear && shape[0] > 4 && shape[1] > 4 && shape[2] <= 4)
        return drl__fail(ctx, DRL_E_SHAPE,
                         "%s: %z x %z x %z is one image with %z channels, or %z grey images of %z x %z: set "
                         "height and width (or channels) of drl_dataset_desc, or save x[None]", source,
                         shape[0], shape[1], shape[2], shape[2], shape[0], shape[1], shape[2]);
    unclear = d->channels == 0 && (shape[0] == 3 || shape[0] == 4) && shape[1] > 4 && shape[2] > 4;
    if (unclear)
        return drl__fail(ctx, DRL_E_SHAPE,
                         "%s: %z x %z x %z is one image with the channels first, or %z grey images of %z x "
                         "%z: set channels of drl_dataset_desc to %z, with layout DRL_LAYOUT_NCHW, or to 1",
                         source, shape[0], shape[1], shape[2], shape[0], shape[1], shape[2], shape[0]);
    return DRL_OK;
}

/* Rows of numbers: the description says how they are folded. */
static drl_status drl__ds_rows(drl_ctx *ctx, const char *source, const size_t *shape,
                               const drl_dataset_desc *d, size_t *channels)
{
    size_t area, side = 1;
    if (d->height == 0 || d->width == 0) {
        while (side < 65536 && side * side < shape[1]) ++side;
        if (side * side == shape[1])
            return drl__fail(ctx, DRL_E_SHAPE,
                             "%s: rows of %z numbers: set height and width of drl_dataset_desc, perhaps to "
                             "%z and %z (labels are one number an image)", source, shape[1], side, side);
        return drl__fail(ctx, DRL_E_SHAPE,
                         "%s: rows of %z numbers: set height and width of drl_dataset_desc (labels are one "
                         "number an image)", source, shape[1]);
    }
    if (!drl__mul_fits((size_t)d->height, (size_t)d->width, &area)) area = SIZE_MAX;
    *channels = shape[1] / area;
    if (*channels < 1 || *channels > 4 || *channels * area != shape[1] ||
        (d->channels && *channels != (size_t)d->channels))
        return drl__fail(ctx, DRL_E_SHAPE,
                         "%s: rows of %z numbers are no images of %d x %d with %d channels (0: any of 1 to "
                         "4)", source, shape[1], d->height, d->width, d->channels);
    if (*channels > 1 && d->layout == DRL_LAYOUT_DEFAULT)
        return drl__fail(ctx, DRL_E_SHAPE,
                         "%s: rows of %d x %d x %z, channels first or last? Set layout of drl_dataset_desc "
                         "to DRL_LAYOUT_NCHW (as in CIFAR) or DRL_LAYOUT_NHWC", source, d->height, d->width,
                         *channels);
    return DRL_OK;
}

static drl_status drl__ds_rank4(drl_ctx *ctx, const char *source, const size_t *shape,
                                const drl_dataset_desc *d)
{
    int first = d->layout == DRL_LAYOUT_NCHW, c = first ? 1 : 3, other = first ? 3 : 1;
    if (shape[c] > 4) {
        if (shape[other] > 4)
            return drl__fail(ctx, DRL_E_SHAPE,
                             "%s: %z x %z x %z x %z are images of %z channels, 1 to 4 are possible", source,
                             shape[0], shape[1], shape[2], shape[3], shape[c]);
        return drl__fail(ctx, DRL_E_SHAPE,
                         "%s: %z x %z x %z x %z are images of %z channels, 1 to 4 are possible; with the "
                         "channels %s they have %z: set layout of drl_dataset_desc to %s", source, shape[0],
                         shape[1], shape[2], shape[3], shape[c], first ? "last" : "first", shape[other],
                         first ? "DRL_LAYOUT_NHWC" : "DRL_LAYOUT_NCHW");
    }
    if (d->layout == DRL_LAYOUT_DEFAULT && (shape[1] == 1 || shape[1] == 3 || shape[1] == 4) &&
        shape[2] > 4 && shape[3] > 1)
        return drl__fail(ctx, DRL_E_SHAPE,
                         "%s: %z x %z x %z x %z may have its channels first or last: set layout of "
                         "drl_dataset_desc to DRL_LAYOUT_NCHW or DRL_LAYOUT_NHWC", source, shape[0], shape[1],
                         shape[2], shape[3]);
    return DRL_OK;
}

/* The axes of an array of images in the order N, H, W, C, or N, C, H, W where channels_first: their lengths,
 * and how many elements lie between neighbours. */
typedef struct drl__ds_axes {
    size_t length[4], step[4];
    int channels_first;
} drl__ds_axes;

static drl_status drl__ds_axes_of(drl_ctx *ctx, const char *source, const drl_array *a, const size_t *stride,
                                  const drl_dataset_desc *d, drl__ds_axes *axes)
{
    drl_status status;
    size_t channels = 1;
    int i, first = d->layout == DRL_LAYOUT_NCHW, one = 0;
    axes->channels_first = first;
    if (a->rank == 4) {
        status = drl__ds_rank4(ctx, source, a->shape, d);
        for (i = 0; i < 4; ++i) {
            axes->length[i] = a->shape[i];
            axes->step[i] = stride[i];
        }
        return status;
    }
    if (a->rank == 3) {
        status = drl__ds_rank3(ctx, source, a->shape, d, &one);
        for (i = 0; i < 3; ++i) {
            axes->length[i + one] = a->shape[i];
            axes->step[i + one] = stride[i];
        }
        i = one ? 0 : 3;                                /* the axis that the array lacks: N, or C of grey */
        axes->length[i] = 1;
        axes->step[i] = 0;
        if (!one) axes->channels_first = 0;
        return status;
    }
    status = drl__ds_rows(ctx, source, a->shape, d, &channels);
    if (status != DRL_OK) return status;
    axes->length[0] = a->shape[0];
    axes->length[first ? 1 : 3] = channels;
    axes->length[first ? 2 : 1] = (size_t)d->height;
    axes->length[first ? 3 : 2] = (size_t)d->width;
    axes->step[0] = stride[0];
    axes->step[3] = stride[1];
    axes->step[2] = axes->step[3] * axes->length[3];
    axes->step[1] = axes->step[2] * axes->length[2];
    return DRL_OK;
}

/* Images of other sizes than the description asks for are refused. */
static drl_status drl__ds_wanted(drl_ctx *ctx, const char *source, const drl_dataset_desc *d,
                                 const drl__ds_part *part)
{
    if ((d->height == 0 || part->height == d->height) &&
        (d->width == 0 || part->width == d->width) &&
        (d->channels == 0 || part->channels == d->channels))
        return DRL_OK;
    return drl__fail(ctx, DRL_E_SHAPE,
                     "%s: images of %d x %d x %d; the description wants %d x %d x %d (0: any)", source,
                     part->height, part->width, part->channels, d->height, d->width, d->channels);
}

/* Whether an array is images or labels, and where every element is. */
static drl_status drl__ds_shape(drl_ctx *ctx, const char *source, int fortran, const drl_dataset_desc *d,
                                drl__ds_part *part)
{
    const drl_array *a = &part->a;
    drl__ds_axes axes;
    size_t stride[DRL_RANK_MAX], product = 1;
    int i, c, h;
    drl_status status;
    if (a->rank < 1 || a->rank > 4)
        return drl__fail(ctx, DRL_E_FORMAT,
                         "%s: %s of rank %d; images have rank 4, 3 or (as rows) 2, labels 1", source,
                         drl__dtype_name(a->dtype), a->rank);
    for (i = 0; i < a->rank; ++i)
        if (a->shape[i] < 1 || a->shape[i] > INT32_MAX)
            return drl__fail(ctx, DRL_E_SHAPE, "%s: axis %d has length %z", source, i, a->shape[i]);
    for (i = 0; i < a->rank; ++i) {                     /* from the fastest axis to the slowest */
        int k = fortran ? i : a->rank - 1 - i;
        stride[k] = product;
        product *= a->shape[k];
    }
    part->count = a->shape[0];
    if (a->rank == 1 || (a->rank == 2 && a->shape[1] == 1)) {
        part->kind = DRL__DS_LABELS;
        part->label = 0;
        part->label_step = stride[0];
        return DRL_OK;
    }
    part->kind = DRL__DS_IMAGES;
    status = drl__ds_axes_of(ctx, source, a, stride, d, &axes);
    if (status != DRL_OK) return status;
    c = axes.channels_first ? 1 : 3;
    h = axes.channels_first ? 2 : 1;
    part->count = axes.length[0];
    part->height = (int)axes.length[h];
    part->width = (int)axes.length[h + 1];
    part->channels = (int)axes.length[c];
    part->step[0] = axes.step[0];
    part->step[1] = axes.step[h];
    part->step[2] = axes.step[h + 1];
    part->step[3] = axes.step[c];
    return drl__ds_wanted(ctx, source, d, part);
}

/* A netpbm picture is one image. */
static drl_status drl__ds_picture(drl_ctx *ctx, const char *source, const drl_blob *blob,
                                  const drl_dataset_desc *d, drl__ds_part *part)
{
    const drl_array *a = &part->a;
    drl_status status = drl__pnm_open(ctx, source, (const unsigned char *)blob->data, blob->bytes, &part->a,
                                      &part->maxval);
    if (status != DRL_OK) return status;
    part->kind = DRL__DS_IMAGES;
    part->count = 1;
    part->height = (int)a->shape[0];
    part->width = (int)a->shape[1];
    part->channels = (int)a->shape[2];
    part->step[1] = a->shape[1] * a->shape[2];
    part->step[2] = a->shape[2];
    part->step[3] = 1;
    return drl__ds_wanted(ctx, source, d, part);
}

/* Why rows that have the length of CIFAR's are not CIFAR's: a label is too large. DRL_OK for other files. */
static drl_status drl__ds_cifar_label(drl_ctx *ctx, const char *source, const drl_blob *blob, int hundred)
{
    const unsigned char *p = (const unsigned char *)blob->data;
    size_t row = DRL__CIFAR_ROW + (size_t)hundred, i;
    if (blob->bytes % row) return DRL_OK;
    for (i = 0; i < blob->bytes; i += row)
        if (p[i] > (hundred ? 19 : 9) || (hundred && p[i + 1] > 99))
            return drl__fail(ctx, DRL_E_FORMAT, "%s: row %z of CIFAR-%d has the label %d",
                             source, i / row, hundred ? 100 : 10,
                             hundred && p[i] <= 19 ? p[i + 1] : p[i]);
    return DRL_OK;
}

/* Finds out what one file is. */
static drl_status drl__ds_open(drl_ctx *ctx, const char *source, const drl_blob *blob,
                               const drl_dataset_desc *d, drl__ds_part *part)
{
    const unsigned char *p = (const unsigned char *)blob->data;
    int fortran = 0, hundred;
    drl_status status;
    memset(part, 0, sizeof *part);
    if (blob->bytes >= 6 && memcmp(p, "\x93NUMPY", 6) == 0) {
        status = drl__npy_open(ctx, source, p, blob->bytes, &part->a, &fortran);
        return status == DRL_OK ? drl__ds_shape(ctx, source, fortran, d, part) : status;
    }
    if (drl__pnm_magic(p, blob->bytes)) return drl__ds_picture(ctx, source, blob, d, part);
    if (drl__idx_open(NULL, source, p, blob->bytes, &part->a) == DRL_OK)
        return drl__ds_shape(ctx, source, 0, d, part);
    /* A row of CIFAR may begin like IDX, but then its size is wrong for IDX. */
    for (hundred = 0; hundred < 2; ++hundred)
        if (drl__ds_cifar_rows(blob, hundred)) {
            drl__ds_cifar(blob, hundred, d->coarse_labels, part);
            if (part->count > INT32_MAX)
                return drl__fail(ctx, DRL_E_UNSUPPORTED, "%s: %z images are too many", source, part->count);
            return drl__ds_wanted(ctx, source, d, part);
        }
    /* A first byte of 0 to 19 is a label of CIFAR, unless the file is of a known format. */
    if (blob->bytes && (p[0] <= 19 || !drl__magic_of(p, blob->bytes)))
        for (hundred = 0; hundred < 2; ++hundred) {
            status = drl__ds_cifar_label(ctx, source, blob, hundred);
            if (status != DRL_OK) return status;
        }
    if (blob->bytes >= 4 && p[0] == 0 && p[1] == 0)
        return drl__idx_open(ctx, source, p, blob->bytes, &part->a);
    return drl__wrong_format(ctx, source,
                             "NPY, IDX, P5 to P7 of netpbm, or rows of CIFAR (3073 or 3074 bytes each)", p,
                             blob->bytes);
}

/* part->low, part->high <- the elements that become -1 and 1, from the description or by the type. */
static drl_status drl__ds_range(drl_ctx *ctx, const char *source, const drl_dataset_desc *d,
                                drl__ds_part *part)
{
    part->low = d->low;
    part->high = d->high;
    if (d->low != d->high) return DRL_OK;
    if (part->maxval) {
        part->high = part->maxval;
        return DRL_OK;
    }
    switch (part->a.dtype) {
    case DRL_DTYPE_F16:
    case DRL_DTYPE_BF16:
    case DRL_DTYPE_F32:
    case DRL_DTYPE_F64:
    case DRL_DTYPE_BOOL: part->high = 1; return DRL_OK;
    case DRL_DTYPE_U8:   part->high = 255; return DRL_OK;
    case DRL_DTYPE_U16:  part->high = 65535; return DRL_OK;
    default:
        return drl__fail(ctx, DRL_E_FORMAT,
                         "%s: images of %s: set low and high of drl_dataset_desc to the elements that "
                         "mean black and white (0 and 255, perhaps)", source, drl__dtype_name(part->a.dtype));
    }
}

/* *smallest, *largest <- of all pixels of a file. */
static drl_status drl__ds_extremes(drl_ctx *ctx, const char *source, const drl__ds_part *part,
                                   double *smallest, double *largest)
{
    const drl_array *a = &part->a;
    const uint8_t *bytes = (const uint8_t *)a->data;
    size_t i, count = drl_array_count(a);
    *smallest = HUGE_VAL;
    *largest = -HUGE_VAL;
    for (i = 0; i < count; ++i) {
        double v;
        if (part->kind == DRL__DS_CIFAR && i % part->step[0] < part->first) continue;   /* a label */
        v = a->dtype == DRL_DTYPE_U8 ? bytes[i] : drl__array_double(a, i);
        if (!drl__finite(v))
            return drl__fail(ctx, DRL_E_FORMAT, "%s: element %z is not a finite number", source, i);
        if (v < *smallest) *smallest = v;
        if (v > *largest) *largest = v;
    }
    return DRL_OK;
}

/* Checks the pixels of a file against its range. *floats becomes 1 when bytes 0..255 cannot hold them. */
static drl_status drl__ds_in_range(drl_ctx *ctx, const char *source, const drl_dataset_desc *d,
                                   const drl__ds_part *part, int *floats)
{
    drl_dtype dtype = part->a.dtype;
    const char *type = drl__dtype_name(dtype);
    double smallest, largest;
    int given = d->low != d->high, is_float;
    drl_status status;
    if (!given && (part->kind == DRL__DS_CIFAR || part->maxval == 255)) return DRL_OK; /* all bytes will do */
    status = drl__ds_extremes(ctx, source, part, &smallest, &largest);
    if (status != DRL_OK) return status;
    if (part->maxval && largest > part->maxval)
        return drl__fail(ctx, DRL_E_FORMAT, "%s: a number of %g in a picture of MAXVAL %d", source, largest,
                         part->maxval);
    if (smallest < part->low || largest > part->high)
        return drl__fail(ctx, DRL_E_FORMAT,
                         "%s: %s from %g to %g, the range is %g to %g: set low and high of drl_dataset_desc "
                         "to the elements that mean black and white", source, type, smallest, largest,
                         part->low, part->high);
    if (!given && !part->maxval &&
        ((dtype == DRL_DTYPE_U8 && largest == 1) || (dtype == DRL_DTYPE_U16 && largest < 4096)))
        return drl__fail(ctx, DRL_E_FORMAT,
                         "%s: %s from %g to %g, of 0 to %g that it can hold: set low and high of "
                         "drl_dataset_desc to the elements that mean black and white", source, type,
                         smallest, largest, part->high);
    is_float = dtype == DRL_DTYPE_F16 || dtype == DRL_DTYPE_BF16 ||
               dtype == DRL_DTYPE_F32 || dtype == DRL_DTYPE_F64;
    if (!is_float && part->low == 0 && part->high == 255) return DRL_OK;
    if (dtype == DRL_DTYPE_BOOL && part->low == 0 && part->high == 1) return DRL_OK;
    *floats = 1;
    return DRL_OK;
}

/* The element where tile i begins. Index order: image, row of tiles, tile. */
static size_t drl__ds_tile(const drl__ds_part *part, size_t i)
{
    size_t row = i / part->across % part->down * (size_t)part->height;
    size_t column = i % part->across * (size_t)part->width;
    return part->first + i / part->across / part->down * part->step[0] + row * part->step[1] +
           column * part->step[2];
}

/* Whether the tile that begins at this element is left out: it is part of a sheet, and all its alpha is 0. */
static int drl__ds_left_out(const drl__ds_part *part, size_t first)
{
    int y, x;
    if (!part->cut || part->channels % 2) return 0;
    first += (size_t)(part->channels - 1) * part->step[3];
    for (y = 0; y < part->height; ++y)
        for (x = 0; x < part->width; ++x) {
            size_t i = first + (size_t)y * part->step[1] + (size_t)x * part->step[2];
            if (!(drl__array_double(&part->a, i) <= part->low)) return 0;
        }
    return 1;
}

/* Cuts the images of a file into tiles, if the description says so. */
static drl_status drl__ds_cut(drl_ctx *ctx, const char *source, const drl_dataset_desc *d, drl__ds_part *part)
{
    size_t i;
    part->down = part->across = 1;
    part->tiles = part->count;
    if (!d->tile_height) return DRL_OK;
    if (part->kind == DRL__DS_CIFAR)
        return drl__fail(ctx, DRL_E_ARGUMENT, "%s: rows of CIFAR are not cut into tiles", source);
    if (part->height % d->tile_height || part->width % d->tile_width)
        return drl__fail(ctx, DRL_E_SHAPE, "%s: images of %d x %d are no multiple of tiles of %d x %d",
                         source, part->height, part->width, d->tile_height, d->tile_width);
    part->cut = 1;
    part->down = (size_t)(part->height / d->tile_height);
    part->across = (size_t)(part->width / d->tile_width);
    part->height = d->tile_height;
    part->width = d->tile_width;
    part->tiles = part->count * part->down * part->across;
    part->count = 0;
    for (i = 0; i < part->tiles; ++i) part->count += !drl__ds_left_out(part, drl__ds_tile(part, i));
    return DRL_OK;
}

/* The data of our own block, to be written: the struct has pointers to const. */
static uint8_t *drl__ds_pixels(const drl_dataset *ds) { return (uint8_t *)(uintptr_t)ds->pixels; }
static uint8_t *drl__ds_labels(const drl_dataset *ds) { return (uint8_t *)(uintptr_t)ds->labels; }
static float   *drl__ds_values(const drl_dataset *ds) { return (float *)(uintptr_t)ds->values; }

/* Allocates a data set of these sizes in one block, with labels if `labels`, and with values in place of
 * pixels if `floats`. */
static drl_status drl__ds_alloc(drl_ctx *ctx, const drl_dataset *sizes, int labels, int floats,
                                drl_dataset **out)
{
    drl_dataset *ds;
    size_t shape[5], bytes, start = drl__round_up(sizeof *ds, DRL__ALIGN), total;
    shape[0] = (size_t)sizes->count;
    shape[1] = (size_t)sizes->height;
    shape[2] = (size_t)sizes->width;
    shape[3] = (size_t)sizes->channels;
    shape[4] = floats ? sizeof(float) : 1;
    if (!drl__shape_count(shape, 5, &bytes) || !drl__add_fits(start, bytes, &total) ||
        !drl__add_fits(total, labels ? shape[0] : 0, &total))
        return drl__fail(ctx, DRL_E_MEMORY, "out of memory: %d images of %d x %d x %d cannot be addressed",
                         sizes->count, sizes->height, sizes->width, sizes->channels);
    ds = (drl_dataset *)drl__alloc(ctx, total);
    if (!ds) return DRL_E_MEMORY;
    *ds = *sizes;
    ds->pixels = floats ? NULL : (unsigned char *)ds + start;
    ds->values = floats ? (const float *)(const void *)((unsigned char *)ds + start) : NULL;
    ds->labels = labels ? (unsigned char *)ds + start + bytes : NULL;
    ds->owner = ctx;
    *out = ds;
    return DRL_OK;
}

/* Colour 0 wherever alpha is 0. */
static void drl__ds_clear_hidden(drl_dataset *ds)
{
    size_t c = (size_t)ds->channels, n = (size_t)ds->count * (size_t)ds->height * (size_t)ds->width, i, k;
    uint8_t *p = drl__ds_pixels(ds);
    float *v = drl__ds_values(ds);
    if (c % 2) return;
    for (i = 0; i < n; ++i)
        for (k = 0; k + 1 < c; ++k) {
            if (p && p[c * i + c - 1] == 0) p[c * i + k] = 0;
            if (v && v[c * i + c - 1] <= -1.0f) v[c * i + k] = -1.0f;
        }
}

/* Writes the images of one file, from element `at` of the data set on. Index order: image, row, column,
 * channel. */
static void drl__ds_fill(const drl__ds_part *part, drl_dataset *ds, size_t at)
{
    const drl_array *a = &part->a;
    const uint8_t *bytes = (const uint8_t *)a->data;
    uint8_t *pixel = drl__ds_pixels(ds);
    float *value = drl__ds_values(ds);
    double low = part->low, width = part->high - part->low;
    size_t i, from;
    int y, x, c, exact = low == 0 && width == 255, plain = a->dtype == DRL_DTYPE_U8;
    for (i = 0; i < part->tiles; ++i) {
        size_t first = drl__ds_tile(part, i);
        if (drl__ds_left_out(part, first)) continue;
        for (y = 0; y < part->height; ++y)
            for (x = 0; x < part->width; ++x)
                for (c = 0; c < part->channels; ++c, ++at) {
                    double v;
                    from = first + (size_t)y * part->step[1];
                    from += (size_t)x * part->step[2] + (size_t)c * part->step[3];
                    if (pixel && plain) {
                        pixel[at] = bytes[from];
                        continue;
                    }
                    v = drl__array_double(a, from);
                    if (pixel) pixel[at] = (uint8_t)(a->dtype == DRL_DTYPE_BOOL && width == 1 ? 255 * v : v);
                    else if (exact) value[at] = (float)((2 * v - 255) / 255);       /* as drl__ds_image */
                    else value[at] = (float)(2 * ((v - low) / width) - 1);
                }
    }
}

static drl_status drl__ds_desc(drl_ctx *ctx, const drl_dataset_desc *d)
{
    if (drl__zeroed(ctx, "drl_dataset_desc", d->canary) != DRL_OK) return DRL_E_ARGUMENT;
    if ((unsigned)d->layout > (unsigned)DRL_LAYOUT_NCHW)
        return drl__fail(ctx, DRL_E_ARGUMENT, "data set: layout is %d, none of drl_layout", (int)d->layout);
    if (d->height < 0)
        return drl__fail(ctx, DRL_E_ARGUMENT, "data set: height is %d; 0 or more is possible", d->height);
    if (d->width < 0)
        return drl__fail(ctx, DRL_E_ARGUMENT, "data set: width is %d; 0 or more is possible", d->width);
    if (d->channels < 0 || d->channels > 4)
        return drl__fail(ctx, DRL_E_ARGUMENT, "data set: channels is %d; 0 to 4 are possible", d->channels);
    if (!(d->high - d->low >= 0 && d->high - d->low < 1e300) || (d->low == d->high && d->low != 0))
        return drl__fail(ctx, DRL_E_ARGUMENT, "data set: low %g, high %g; both zero, or low below high",
                         d->low, d->high);
    if (d->tile_height < 0 || d->tile_width < 0 || !d->tile_height != !d->tile_width)
        return drl__fail(ctx, DRL_E_ARGUMENT,
                         "data set: tile_height %d, tile_width %d; both zero, or both 1 or more",
                         d->tile_height, d->tile_width);
    return DRL_OK;
}

static drl_status drl__ds_labels_of(drl_ctx *ctx, const char *source, const drl__ds_part *part,
                                    uint8_t *label, int *classes)
{
    size_t i;
    for (i = 0; i < part->count; ++i) {
        double v = drl__array_double(&part->a, part->label + i * part->label_step);
        if (!(v >= 0 && v <= 254 && v == (double)(int)v))
            return drl__fail(ctx, DRL_E_FORMAT, "%s: label %z is not in 0..254: %g; labels are whole numbers",
                             source, i, v);
        *classes = drl__max(*classes, (int)v + 1);
        if (label) label[i] = (uint8_t)(v + 1);
    }
    return DRL_OK;
}

/* What is known of a data set when all its files have been counted. */
typedef struct drl__ds_total {
    size_t images, labels;
    int cifar, cifar100;        /* files of either */
    int floats;                 /* 1: bytes cannot hold the pixels */
    drl_dataset sizes;          /* height, width, channels and classes are set */
    char first[DRL__QUOTE_BYTES];   /* the file that these sizes are of */
} drl__ds_total;

/* Files of CIFAR hold images and labels, and the labels of its two kinds differ. */
static drl_status drl__ds_mixed(drl_ctx *ctx, const char *source, int files, const drl__ds_total *total)
{
    if (total->cifar && total->cifar != files)
        return drl__fail(ctx, DRL_E_FORMAT,
                         "%s: CIFAR files hold images and labels and do not mix with others", source);
    if (total->cifar100 && total->cifar100 != files)
        return drl__fail(ctx, DRL_E_FORMAT,
                         "%s: CIFAR-10 and CIFAR-100 do not mix, their labels mean other things", source);
    return DRL_OK;
}

/* The images of a file, the files-th, have the class that the description gives it. */
static drl_status drl__ds_class(drl_ctx *ctx, const char *source, const drl_dataset_desc *d, int files,
                                const drl__ds_part *part, int *classes)
{
    int given = d->classes[files - 1];
    if (part->kind != DRL__DS_IMAGES)
        return drl__fail(ctx, DRL_E_ARGUMENT, "%s: labels in a file, beside the classes of the description",
                         source);
    if (given < 0 || given > 255)
        return drl__fail(ctx, DRL_E_ARGUMENT, "%s: the class of this file is %d; 0 to 255 are possible",
                         source, given);
    *classes = drl__max(*classes, given);
    return DRL_OK;
}

/* Checks one file, the files-th, and adds what it holds. */
static drl_status drl__ds_count(drl_ctx *ctx, const char *source, const drl_dataset_desc *d, int files,
                                const drl__ds_part *part, drl__ds_total *total)
{
    drl_dataset *sizes = &total->sizes;
    drl_status status;
    if (part->kind == DRL__DS_CIFAR) ++total->cifar;
    if (part->cifar100) ++total->cifar100;
    status = drl__ds_mixed(ctx, source, files, total);
    if (status == DRL_OK && d->classes) status = drl__ds_class(ctx, source, d, files, part, &sizes->classes);
    if (status != DRL_OK) return status;
    if (part->kind != DRL__DS_LABELS) {
        status = drl__ds_in_range(ctx, source, d, part, &total->floats);
        if (status != DRL_OK) return status;
        if (total->images &&
            (part->height != sizes->height || part->width != sizes->width ||
             part->channels != sizes->channels))
            return drl__fail(ctx, DRL_E_SHAPE,
                             "%s: images of %d x %d x %d after images of %d x %d x %d in %s", source,
                             part->height, part->width, part->channels,
                             sizes->height, sizes->width, sizes->channels, total->first);
        if (!total->images) drl__text(total->first, sizeof total->first, "%s", source);
        sizes->height = part->height;
        sizes->width = part->width;
        sizes->channels = part->channels;
        if (!drl__add_fits(total->images, part->count, &total->images)) total->images = SIZE_MAX;
    }
    if (part->kind != DRL__DS_IMAGES) {
        if (!drl__add_fits(total->labels, part->count, &total->labels)) total->labels = SIZE_MAX;
        return drl__ds_labels_of(ctx, source, part, NULL, &sizes->classes);
    }
    return DRL_OK;
}

static drl_status drl__ds_total_check(drl_ctx *ctx, const drl_dataset_desc *d, int files,
                                      const drl__ds_total *total)
{
    if (total->images == 0)
        return drl__fail(ctx, DRL_E_FORMAT, "data set: %d files and no images in them", files);
    if (total->images > INT32_MAX)
        return drl__fail(ctx, DRL_E_UNSUPPORTED, "data set: %z images are too many", total->images);
    if (total->labels && total->labels != total->images)
        return drl__fail(ctx, DRL_E_SHAPE, "data set: %z labels for %z images",
                         total->labels, total->images);
    if (d->coarse_labels && !total->cifar100)
        return drl__fail(ctx, DRL_E_ARGUMENT, "data set: coarse_labels is set, and no file is of CIFAR-100");
    return DRL_OK;
}

/* File f of a data set: *part and the name that sentences give it. names may be NULL. */
static drl_status drl__ds_file(drl_ctx *ctx, const char *const *names, const drl_blob *files, int f,
                               const drl_dataset_desc *d, char source[DRL__QUOTE_BYTES], drl__ds_part *part)
{
    drl_status status;
    if (names) drl__text(source, DRL__QUOTE_BYTES, "%s", names[f]);
    else drl__text(source, DRL__QUOTE_BYTES, "data set file %d", f);
    status = drl__ds_open(ctx, source, &files[f], d, part);
    if (status != DRL_OK || part->kind == DRL__DS_LABELS) return status;
    status = drl__ds_range(ctx, source, d, part);
    return status == DRL_OK ? drl__ds_cut(ctx, source, d, part) : status;
}

/* Two passes over the files: the first checks and counts everything, the second fills the block. */
static drl_status drl__ds_parse(drl_ctx *ctx, const char *const *names, const drl_blob *files, int count,
                                const drl_dataset_desc *desc, drl_dataset **out)
{
    char source[DRL__QUOTE_BYTES];
    drl_dataset_desc d;
    drl__ds_total total;
    drl__ds_part part;
    drl_dataset *ds = NULL;
    drl_status status;
    size_t image = 0, label = 0;
    int f, ignored = 0;
    memset(&total, 0, sizeof total);
    memset(&d, 0, sizeof d);
    if (desc) d = *desc;
    status = drl__ds_desc(ctx, &d);
    for (f = 0; f < count && status == DRL_OK; ++f) {
        status = drl__ds_file(ctx, names, files, f, &d, source, &part);
        if (status == DRL_OK) status = drl__ds_count(ctx, source, &d, f + 1, &part, &total);
    }
    if (status == DRL_OK) status = drl__ds_total_check(ctx, &d, count, &total);
    if (status != DRL_OK) return status;
    total.sizes.count = (int)total.images;
    status = drl__ds_alloc(ctx, &total.sizes, total.labels || d.classes, total.floats, &ds);
    if (status != DRL_OK) return status;
    for (f = 0; f < count; ++f) {
        status = drl__ds_file(ctx, names, files, f, &d, source, &part);
        DRL_ASSERT(status == DRL_OK);
        if (part.kind != DRL__DS_LABELS) {
            drl__ds_fill(&part, ds, image * (size_t)ds->height * (size_t)ds->width * (size_t)ds->channels);
            if (d.classes) memset(drl__ds_labels(ds) + image, d.classes[f], part.count);
            image += part.count;
        }
        if (part.kind != DRL__DS_IMAGES) {
            drl__ds_labels_of(ctx, source, &part, drl__ds_labels(ds) + label, &ignored);
            label += part.count;
        }
    }
    drl__ds_clear_hidden(ds);
    *out = ds;
    return DRL_OK;
}

DRL__CALL(drl_status, drl_dataset_parse,
    (drl_ctx *ctx, const drl_blob *files, int count,
                                     const drl_dataset_desc *desc,
                                     drl_dataset **out),
    (ctx, files, count, desc, out))
{
    int f;
    if (!ctx) return DRL_E_ARGUMENT;
    if (!files || count < 1 || !out)
        return drl__fail(ctx, DRL_E_ARGUMENT, "drl_dataset_parse: files or out is NULL, or count is below 1");
    for (f = 0; f < count; ++f)
        if (!files[f].data)
            return drl__fail(ctx, DRL_E_ARGUMENT, "drl_dataset_parse: file %d has no data", f);
    return drl__ds_parse(ctx, NULL, files, count, desc, out);
}

#ifndef DRL_NO_STDIO
/* Several files, read whole, and what sentences call them. */
typedef struct drl__files {
    drl_blob *blob;             /* the one block, with name behind it */
    const char **name;
} drl__files;

static void drl__files_free(drl_ctx *ctx, const drl__files *files, int count)
{
    while (count-- > 0) drl_file_free(ctx, (void *)(uintptr_t)files->blob[count].data);
    drl__free(ctx, files->blob);
}

static drl_status drl__files_read(drl_ctx *ctx, const char *who, const char *const *paths, int count,
                                  drl__files *files)
{
    drl_status status = DRL_OK;
    size_t bytes;
    int f;
    if (!paths || count < 1)
        return drl__fail(ctx, DRL_E_ARGUMENT, "%s: paths or out is NULL, or count is below 1", who);
    for (f = 0; f < count; ++f)
        if (!paths[f])
            return drl__fail(ctx, DRL_E_ARGUMENT, "%s: path %d is NULL", who, f);
    if (!drl__mul_fits((size_t)count, sizeof *files->blob + sizeof *files->name, &bytes))
        return drl__fail(ctx, DRL_E_MEMORY, "%s: %d paths are too many", who, count);
    files->blob = (drl_blob *)drl__alloc(ctx, bytes);
    if (!files->blob) return DRL_E_MEMORY;
    files->name = (const char **)(void *)(files->blob + count);
    for (f = 0; f < count && status == DRL_OK; ++f) {
        void *data = NULL;
        files->name[f] = drl__base_name(paths[f]);
        status = drl_file_read(ctx, paths[f], &data, &files->blob[f].bytes);
        files->blob[f].data = data;
    }
    if (status != DRL_OK) drl__files_free(ctx, files, f);
    return status;
}

DRL__CALL(drl_status, drl_dataset_load,
    (drl_ctx *ctx, const char *const *paths, int count,
                                    const drl_dataset_desc *desc,
                                    drl_dataset **out),
    (ctx, paths, count, desc, out))
{
    drl__files files;
    drl_status status;
    if (!ctx) return DRL_E_ARGUMENT;
    status = drl__files_read(ctx, "drl_dataset_load", paths, out ? count : 0, &files);
    if (status != DRL_OK) return status;
    status = drl__ds_parse(ctx, files.name, files.blob, count, desc, out);
    drl__files_free(ctx, &files, count);
    return status;
}
#endif

static drl_status drl__ds_check(drl_ctx *ctx, const char *who, const drl_dataset *ds)
{
    if (!ctx) return DRL_E_ARGUMENT;
    if (!ds || (!ds->pixels && !ds->values))
        return drl__fail(ctx, DRL_E_ARGUMENT, "%s: the data set or its pixels are NULL", who);
    if (ds->pixels && ds->values)
        return drl__fail(ctx, DRL_E_ARGUMENT, "%s: the data set has both pixels and values", who);
    if (ds->values && drl__bad_floats(ds->values))
        return drl__fail(ctx, DRL_E_ARGUMENT, "%s: the values are misaligned", who);
    if (ds->count < 1 || ds->height < 1 || ds->width < 1 || ds->channels < 1 || ds->channels > 4)
        return drl__fail(ctx, DRL_E_ARGUMENT, "%s: data set of %d images of %d x %d x %d", who, ds->count,
                         ds->height, ds->width, ds->channels);
    return DRL_OK;
}

DRL__CALL(drl_status, drl_dataset_copy,
    (drl_ctx *ctx, const drl_dataset *source, drl_dataset **out),
    (ctx, source, out))
{
    static const char who[] = "drl_dataset_copy";
    drl_dataset sizes, *ds;
    size_t elements;
    int i, classes = 0;
    drl_status status = drl__ds_check(ctx, who, source);
    if (status != DRL_OK) return status;
    if (!out) return drl__fail(ctx, DRL_E_ARGUMENT, "%s: out is NULL", who);
    sizes = *source;
    if (source->labels)
        for (i = 0; i < source->count; ++i)
            classes = drl__max(classes, source->labels[i]);
    if (source->classes < 0 || (source->classes && source->classes < classes) ||
        (source->classes && !source->labels))
        return drl__fail(ctx, DRL_E_ARGUMENT, "%s: %d classes, the labels have %d", who, source->classes,
                         classes);
    if (!source->classes) sizes.classes = classes;
    status = drl__ds_alloc(ctx, &sizes, source->labels != NULL, source->values != NULL, &ds);
    if (status != DRL_OK) return status;
    elements = (size_t)sizes.count * (size_t)sizes.height * (size_t)sizes.width * (size_t)sizes.channels;
    if (source->values) memcpy(drl__ds_values(ds), source->values, elements * sizeof(float));
    else memcpy(drl__ds_pixels(ds), source->pixels, elements);
    if (source->labels) memcpy(drl__ds_labels(ds), source->labels, (size_t)sizes.count);
    drl__ds_clear_hidden(ds);
    *out = ds;
    return DRL_OK;
}

DRL_API void drl_dataset_destroy(drl_dataset *ds)
{
    if (ds && ds->owner) drl__free(ds->owner, ds);
}

/* out <- one image, centred, surrounded by -1. The caller has checked the sizes. */
static void drl__ds_image(const drl_dataset *ds, int index, int height, int width, float *out)
{
    size_t row = (size_t)ds->width * (size_t)ds->channels, wide = (size_t)width * (size_t)ds->channels, i;
    size_t left = (size_t)((width - ds->width) / 2) * (size_t)ds->channels;
    size_t first = (size_t)index * (size_t)ds->height * row;
    const float *v = ds->values ? ds->values + first : NULL;
    const uint8_t *p = v ? NULL : ds->pixels + first;
    int top = (height - ds->height) / 2, y;
    for (y = 0; y < height; ++y, out += wide) {
        int inside = y >= top && y - top < ds->height;
        /* x / 127.5 - 1 written as one division is rounded once: the bits do not depend on how wide the
         * registers are in which floats are computed. */
        for (i = 0; i < wide; ++i) {
            if (!inside || i < left || i - left >= row) out[i] = -1.0f;
            else out[i] = v ? *v++ : (float)(2 * *p++ - 255) / 255.0f;
        }
    }
}

static drl_status drl__ds_target(drl_ctx *ctx, const char *who, const drl_dataset *ds, int n, int height,
                                 int width, size_t *per_image)
{
    size_t shape[5], all;
    if (ds->height > height || ds->width > width)
        return drl__fail(ctx, DRL_E_SHAPE, "%s: images of %d x %d do not fit %d x %d", who, ds->height,
                         ds->width, height, width);
    shape[0] = (size_t)height;
    shape[1] = (size_t)width;
    shape[2] = (size_t)ds->channels;
    shape[3] = (size_t)n;
    shape[4] = sizeof(float);
    if (!drl__shape_count(shape, 5, &all))
        return drl__fail(ctx, DRL_E_SHAPE, "%s: %d images of %d x %d cannot be addressed", who, n, height,
                         width);
    *per_image = shape[0] * shape[1] * shape[2];
    return DRL_OK;
}

DRL__CALL(drl_status, drl_dataset_image,
    (drl_ctx *ctx, const drl_dataset *ds, int index, int height, int width, float *out),
    (ctx, ds, index, height, width, out))
{
    static const char who[] = "drl_dataset_image";
    size_t per_image;
    drl_status status = drl__ds_check(ctx, who, ds);
    if (status == DRL_OK) status = drl__ds_target(ctx, who, ds, 1, height, width, &per_image);
    if (status != DRL_OK) return status;
    if (drl__bad_floats(out)) return drl__fail(ctx, DRL_E_ARGUMENT, "%s: out is NULL or misaligned", who);
    if (index < 0 || index >= ds->count)
        return drl__fail(ctx, DRL_E_ARGUMENT, "%s: image %d of %d", who, index, ds->count);
    drl__ds_image(ds, index, height, width, out);
    return DRL_OK;
}

DRL__CALL(drl_status, drl_dataset_batch,
          (drl_ctx * ctx, const drl_dataset *ds, drl_rng *rng, int n, int height, int width, float *out,
           int *labels),
          (ctx, ds, rng, n, height, width, out, labels))
{
    static const char who[] = "drl_dataset_batch";
    size_t per_image;
    int i;
    drl_status status = drl__ds_check(ctx, who, ds);
    if (status != DRL_OK) return status;
    if (!rng || drl__bad_floats(out) || n < 1)
        return drl__fail(ctx, DRL_E_ARGUMENT, "%s: rng or out is NULL, out is misaligned, or n is below 1",
                         who);
    if (labels && !ds->labels)
        return drl__fail(ctx, DRL_E_ARGUMENT, "%s: labels are asked for, the data set has none", who);
    status = drl__ds_target(ctx, who, ds, n, height, width, &per_image);
    if (status != DRL_OK) return status;
    for (i = 0; i < n; ++i) {
        int index = drl_rng_below(rng, ds->count);
        drl__ds_image(ds, index, height, width, out + (size_t)i * per_image);
        if (labels) labels[i] = ds->labels[index];
    }
    return DRL_OK;
}

/* -----------------------------------------------------------------------------------------------------------
 * [io.vectors] - rows of numbers from NPY and CSV, read one number after the other in a few passes: checked
 * and counted, then their mean, their deviation, and their normalised values.
 * -------------------------------------------------------------------------------------------------------- */

/* One file of vectors, and the number that comes next. */
typedef struct drl__rows {
    drl_ctx *ctx;
    const char *source;
    int csv;                    /* else NPY */
    drl_array a;                /* of NPY */
    size_t step[2];             /* elements from one row to the next, and from one column to the next */
    const unsigned char *at, *end;      /* of CSV: what is still to be read */
    size_t line;                /* the line that comes next, from 1 */
    size_t count, size;         /* rows, and numbers in a row; of CSV known when it has been checked */
    size_t row, column;         /* of the next number, from 0 */
} drl__rows;

/* The part of a line from r->at on, up to a comma or to the line's end, without the space around it; r->at
 * then stands behind it. Returns its bytes. *last <- whether it is the last of its line. */
static size_t drl__csv_part(drl__rows *r, const unsigned char **part, int *last)
{
    const unsigned char *from = r->at, *to;
    while (r->at < r->end && *r->at != ',' && *r->at != '\n') ++r->at;
    to = r->at;
    *last = to == r->end || *to == '\n';
    if (r->at < r->end) ++r->at;
    if (*last && to < r->end && to > from && to[-1] == '\r') --to;
    while (from < to && (*from == ' ' || *from == '\t')) ++from;
    while (to > from && (to[-1] == ' ' || to[-1] == '\t')) --to;
    *part = from;
    return (size_t)(to - from);
}

/* Reports that a part of a line is no number. */
static drl_status drl__csv_fail(const drl__rows *r, const unsigned char *part, size_t n)
{
    char text[DRL__DECIMAL_MAX + 1];
    size_t i;
    if (n == 0)
        return drl__fail(r->ctx, DRL_E_FORMAT, "%s: line %z, column %z is empty", r->source, r->line,
                         r->column + 1);
    if (n > DRL__DECIMAL_MAX)
        return drl__fail(r->ctx, DRL_E_FORMAT,
                         "%s: line %z, column %z has %z characters, numbers have at most %d", r->source,
                         r->line, r->column + 1, n, DRL__DECIMAL_MAX);
    for (i = 0; i < n; ++i) text[i] = part[i] < 0x20 || part[i] > 0x7E ? '?' : (char)part[i];
    text[n] = 0;
    return drl__fail(r->ctx, DRL_E_FORMAT, "%s: line %z, column %z: '%s' is not a number", r->source, r->line,
                     r->column + 1, text);
}

/* Skips the first line if no part of it is a number. */
static void drl__csv_header(drl__rows *r)
{
    drl__rows first = *r;
    const unsigned char *part;
    double value;
    int last = 0;
    while (!last) {
        size_t n = drl__csv_part(&first, &part, &last);
        if (n == 0 || drl__decimal(part, n, &value)) return;
    }
    r->at = first.at;
    ++r->line;
}

/* Stands before the first number of a file; what the numbers are is not known yet. */
static drl_status drl__rows_start(drl_ctx *ctx, const char *source, const drl_blob *blob, drl__rows *r)
{
    static const char wanted[] = "vectors in NPY or CSV";
    const unsigned char *p = (const unsigned char *)blob->data;
    size_t i;
    int fortran = 0;
    drl_status status;
    memset(r, 0, sizeof *r);
    r->ctx = ctx;
    r->source = source;
    if (blob->bytes >= 6 && memcmp(p, "\x93NUMPY", 6) == 0) {
        status = drl__npy_open(ctx, source, p, blob->bytes, &r->a, &fortran);
        if (status != DRL_OK) return status;
        if (r->a.rank != 2)
            return drl__fail(ctx, DRL_E_SHAPE, "%s: an array of rank %d; vectors are the rows of rank 2%s",
                             source, r->a.rank, r->a.rank == 1 ? ": save x[:, None]" : "");
        r->count = r->a.shape[0];
        r->size = r->a.shape[1];
        r->step[0] = fortran ? 1 : r->size;
        r->step[1] = fortran ? r->count : 1;
        if (r->count < 1 || r->size < 1 || r->count > INT32_MAX || r->size > INT32_MAX)
            return drl__fail(ctx, DRL_E_SHAPE, "%s: %z rows of %z numbers", source, r->count, r->size);
        return DRL_OK;
    }
    r->csv = 1;
    r->line = 1;
    r->at = p;
    r->end = p + blob->bytes;
    if (blob->bytes >= 3 && memcmp(p, "\xEF\xBB\xBF", 3) == 0) r->at += 3;
    for (i = 0; i < blob->bytes && i < 64; ++i)
        if (p[i] < 0x20 && p[i] != '\t' && p[i] != '\r' && p[i] != '\n') break;
    if (r->at == r->end || (i < blob->bytes && i < 64) || *r->at == '<' || *r->at == '{')
        return drl__wrong_format(ctx, source, wanted, p, blob->bytes);
    drl__csv_header(r);
    if (r->at == r->end) return drl__fail(ctx, DRL_E_FORMAT, "%s: one line without a number", source);
    return DRL_OK;
}

/* The next number of a file. *last <- whether it is the last of its row. */
static drl_status drl__rows_next(drl__rows *r, double *value, int *last)
{
    if (r->csv) {
        const unsigned char *part;
        size_t n = drl__csv_part(r, &part, last);
        if (!drl__decimal(part, n, value)) return drl__csv_fail(r, part, n);
        if (!drl__finite(*value))
            return drl__fail(r->ctx, DRL_E_FORMAT, "%s: line %z, column %z: a number above 1.8e308",
                             r->source, r->line, r->column + 1);
        r->line += (size_t)*last;
    } else {
        *last = r->column + 1 == r->size;
        *value = drl__array_double(&r->a, r->row * r->step[0] + r->column * r->step[1]);
        if (!drl__finite(*value))
            return drl__fail(r->ctx, DRL_E_FORMAT, "%s: element [%z, %z] is not a finite number", r->source,
                             r->row, r->column);
    }
    r->column = *last ? 0 : r->column + 1;
    r->row += (size_t)*last;
    return DRL_OK;
}

/* Whether a number is still to come; a comma at the end of a file promises one. */
static int drl__rows_left(const drl__rows *r)
{
    return r->csv ? r->at < r->end || r->column > 0 : r->row < r->count;
}

/* Reads all numbers of a file that is at its start: r->count and r->size are then known. */
static drl_status drl__rows_check(drl__rows *r)
{
    drl_status status = DRL_OK;
    size_t columns = 0;
    double value;
    int last;
    while (status == DRL_OK && drl__rows_left(r)) {
        ++columns;
        status = drl__rows_next(r, &value, &last);
        if (status != DRL_OK || !last) continue;
        if (r->size && columns != r->size)
            return drl__fail(r->ctx, DRL_E_SHAPE, "%s: %z numbers on line %z, %z on the lines before it",
                             r->source, columns, r->line - 1, r->size);
        r->size = columns;
        columns = 0;
    }
    r->count = r->row;
    if (status == DRL_OK && (r->count > INT32_MAX || r->size > INT32_MAX))
        return drl__fail(r->ctx, DRL_E_UNSUPPORTED, "%s: %z rows of %z numbers are too many", r->source,
                         r->count, r->size);
    return status;
}

/* The files of a set of vectors, what sentences call them, and what has been found out. */
typedef struct drl__vec_files {
    drl_ctx *ctx;
    const char *const *names;   /* may be NULL */
    const drl_blob *blob;
    int files;
    drl_vectors_desc desc;
    size_t count, size;
} drl__vec_files;

/* File f at its start. */
static drl_status drl__vec_file(const drl__vec_files *v, int f, char source[DRL__QUOTE_BYTES], drl__rows *r)
{
    if (v->names) drl__text(source, DRL__QUOTE_BYTES, "%s", v->names[f]);
    else drl__text(source, DRL__QUOTE_BYTES, "vectors file %d", f);
    return drl__rows_start(v->ctx, source, &v->blob[f], r);
}

static drl_status drl__vec_desc(drl_ctx *ctx, const drl_vectors_desc *d)
{
    int i;
    if (drl__zeroed(ctx, "drl_vectors_desc", d->canary) != DRL_OK) return DRL_E_ARGUMENT;
    if (d->size < 0)
        return drl__fail(ctx, DRL_E_ARGUMENT, "vectors: size is %d; 0 or more is possible", d->size);
    if ((unsigned)d->normal > (unsigned)DRL_NORMAL_NONE)
        return drl__fail(ctx, DRL_E_ARGUMENT, "vectors: normal is %d, none of drl_normal", (int)d->normal);
    if (!d->mean != !d->deviation || (d->mean && !d->size))
        return drl__fail(ctx, DRL_E_ARGUMENT,
                         "vectors: mean and deviation go together, and with size, which is %d", d->size);
    for (i = 0; d->mean && i < d->size; ++i)
        if (!drl__finite(d->mean[i]) || !(d->deviation[i] > 0 && drl__finite(d->deviation[i])))
            return drl__fail(ctx, DRL_E_ARGUMENT,
                             "vectors: mean[%d] is %g, deviation[%d] %g; finite numbers are possible, and "
                             "deviations above 0", i, d->mean[i], i, d->deviation[i]);
    return DRL_OK;
}

/* Checks and counts the rows of all files. */
static drl_status drl__vec_count(drl__vec_files *v)
{
    char source[DRL__QUOTE_BYTES];
    drl__rows r;
    int f;
    v->size = (size_t)v->desc.size;
    for (f = 0; f < v->files; ++f) {
        drl_status status = drl__vec_file(v, f, source, &r);
        if (status == DRL_OK) status = drl__rows_check(&r);
        if (status != DRL_OK) return status;
        if (v->size && r.size != v->size)
            return drl__fail(v->ctx, DRL_E_SHAPE, "%s: rows of %z numbers, %s %z", source, r.size,
                             v->desc.size ? "the description wants" : "those before have", v->size);
        v->size = r.size;
        v->count += r.count;
    }
    if (v->count > INT32_MAX)
        return drl__fail(v->ctx, DRL_E_UNSUPPORTED, "vectors: %z rows are too many", v->count);
    return DRL_OK;
}

/* What is done with every number in one pass over all files. */
enum { DRL__VEC_SUM, DRL__VEC_SQUARES, DRL__VEC_VALUES };

/* mean, sum [size], of which DRL_NORMAL_ALL uses the first alone, but for VALUES.
 *   SUM      mean <- the first number, sum += distances from it: one value alone has exactly itself as mean
 *   SQUARES  sum += squared distances from the mean
 *   VALUES   values [count * size] <- normalised numbers; sum is the deviation */
static drl_status drl__vec_pass(const drl__vec_files *v, int what, double *mean, double *sum, float *values)
{
    int f, last, together = what != DRL__VEC_VALUES && v->desc.normal == DRL_NORMAL_ALL;
    char source[DRL__QUOTE_BYTES];
    size_t at = 0, k;
    double number = 0;
    drl__rows r;
    DRL_ASSERT(v->size > 0);
    for (f = 0; f < v->files; ++f) {
        drl_status status = drl__vec_file(v, f, source, &r);
        for (; status == DRL_OK && drl__rows_left(&r); ++at) {
            k = together ? 0 : at % v->size;
            status = drl__rows_next(&r, &number, &last);
            if (what == DRL__VEC_SUM) {
                if (at == k) mean[k] = number;
                sum[k] += number - mean[k];
            } else if (what == DRL__VEC_SQUARES) {
                sum[k] += (number - mean[k]) * (number - mean[k]);
            } else {
                values[at] = (float)((number - mean[k]) / sum[k]);
                if (!drl__finite((double)values[at]))
                    return drl__fail(v->ctx, DRL_E_NUMERIC,
                                     "%s: row %z, column %z: %g is too far from the mean %g for the "
                                     "deviation %g", source, r.row - (size_t)last, k, number, mean[k],
                                     sum[k]);
            }
        }
        DRL_ASSERT(status == DRL_OK);       /* drl__vec_count has read the same */
    }
    return DRL_OK;
}

/* Mean and deviation of the numbers in the files. */
static drl_status drl__vec_statistics(const drl__vec_files *v, double *mean, double *deviation)
{
    int together = v->desc.normal == DRL_NORMAL_ALL;
    size_t k, columns = together ? 1 : v->size;
    double n = (double)v->count * (together ? (double)v->size : 1);
    memset(deviation, 0, v->size * sizeof(double));
    drl__vec_pass(v, DRL__VEC_SUM, mean, deviation, NULL);
    for (k = 0; k < columns; ++k) {
        mean[k] += deviation[k] / n;
        deviation[k] = 0;
    }
    drl__vec_pass(v, DRL__VEC_SQUARES, mean, deviation, NULL);
    for (k = 0; k < columns; ++k) {
        deviation[k] = sqrt(deviation[k] / n);
        if (!drl__finite(mean[k]) || !drl__finite(deviation[k]))
            return drl__fail(v->ctx, DRL_E_NUMERIC,
                             "vectors: the numbers of column %z are too large to have a deviation", k);
        if (deviation[k] == 0) deviation[k] = 1;
    }
    for (; k < v->size; ++k) {
        mean[k] = mean[0];
        deviation[k] = deviation[0];
    }
    return DRL_OK;
}

static size_t drl__vec_place(drl_vectors *out, const drl__vec_files *v, void *block, double **mean,
                             double **deviation, float **values)
{
    size_t total = 0, floats;
    drl__place_array(block, &total, 1, sizeof *out);
    *mean = (double *)drl__place_array(block, &total, v->size, sizeof(double));
    *deviation = (double *)drl__place_array(block, &total, v->size, sizeof(double));
    if (!drl__mul_fits(v->count, v->size, &floats)) floats = SIZE_MAX;
    *values = drl__place_floats(block, &total, floats);
    out->mean = *mean;
    out->deviation = *deviation;
    out->values = *values;
    return total;
}

static drl_status drl__vec_parse(drl__vec_files *v, drl_vectors **out)
{
    drl_vectors sizes, *made;
    double *mean, *deviation;
    float *values;
    size_t k, total;
    drl_status status = drl__vec_desc(v->ctx, &v->desc);
    if (status == DRL_OK) status = drl__vec_count(v);
    if (status != DRL_OK) return status;
    total = drl__vec_place(&sizes, v, NULL, &mean, &deviation, &values);
    made = (drl_vectors *)drl__alloc(v->ctx, total);
    if (!made) return DRL_E_MEMORY;
    drl__vec_place(made, v, made, &mean, &deviation, &values);
    made->count = (int)v->count;
    made->size = (int)v->size;
    made->owner = v->ctx;
    for (k = 0; k < v->size; ++k) {
        mean[k] = v->desc.mean ? v->desc.mean[k] : 0;
        deviation[k] = v->desc.deviation ? v->desc.deviation[k] : 1;
    }
    if (!v->desc.mean && v->desc.normal != DRL_NORMAL_NONE) status = drl__vec_statistics(v, mean, deviation);
    if (status == DRL_OK) status = drl__vec_pass(v, DRL__VEC_VALUES, mean, deviation, values);
    if (status == DRL_OK) *out = made;
    else drl__free(v->ctx, made);
    return status;
}

static void drl__vec_files_of(drl_ctx *ctx, const char *const *names, const drl_blob *blob, int files,
                              const drl_vectors_desc *desc, drl__vec_files *v)
{
    memset(v, 0, sizeof *v);
    v->ctx = ctx;
    v->names = names;
    v->blob = blob;
    v->files = files;
    if (desc) v->desc = *desc;
}

DRL__CALL(drl_status, drl_vectors_parse,
    (drl_ctx *ctx, const drl_blob *files, int count,
                                     const drl_vectors_desc *desc,
                                     drl_vectors **out),
    (ctx, files, count, desc, out))
{
    drl__vec_files v;
    int f;
    if (!ctx) return DRL_E_ARGUMENT;
    if (!files || count < 1 || !out)
        return drl__fail(ctx, DRL_E_ARGUMENT, "drl_vectors_parse: files or out is NULL, or count is below 1");
    for (f = 0; f < count; ++f)
        if (!files[f].data)
            return drl__fail(ctx, DRL_E_ARGUMENT, "drl_vectors_parse: file %d has no data", f);
    drl__vec_files_of(ctx, NULL, files, count, desc, &v);
    return drl__vec_parse(&v, out);
}

#ifndef DRL_NO_STDIO
DRL__CALL(drl_status, drl_vectors_load,
    (drl_ctx *ctx, const char *const *paths, int count,
                                    const drl_vectors_desc *desc,
                                    drl_vectors **out),
    (ctx, paths, count, desc, out))
{
    drl__vec_files v;
    drl__files files;
    drl_status status;
    if (!ctx) return DRL_E_ARGUMENT;
    status = drl__files_read(ctx, "drl_vectors_load", paths, out ? count : 0, &files);
    if (status != DRL_OK) return status;
    drl__vec_files_of(ctx, files.name, files.blob, count, desc, &v);
    status = drl__vec_parse(&v, out);
    drl__files_free(ctx, &files, count);
    return status;
}
#endif

DRL_API void drl_vectors_destroy(drl_vectors *v)
{
    if (v && v->owner) drl__free(v->owner, v);
}

DRL__CALL(drl_status, drl_vectors_batch,
    (drl_ctx *ctx, const drl_vectors *v, drl_rng *rng, int n, float *out),
    (ctx, v, rng, n, out))
{
    size_t size;
    int i;
    if (!ctx) return DRL_E_ARGUMENT;
    if (!v || drl__bad_floats(v->values) || v->count < 1 || v->size < 1)
        return drl__fail(ctx, DRL_E_ARGUMENT,
                         "drl_vectors_batch: the vectors or their values are NULL or misaligned, or there "
                         "are none");
    if (!rng || drl__bad_floats(out) || n < 1)
        return drl__fail(ctx, DRL_E_ARGUMENT,
                         "drl_vectors_batch: rng or out is NULL, out is misaligned, or n is below 1");
    size = (size_t)v->size;
    for (i = 0; i < n; ++i)
        memcpy(out + (size_t)i * size, v->values + (size_t)drl_rng_below(rng, v->count) * size,
               size * sizeof(float));
    return DRL_OK;
}

/* -----------------------------------------------------------------------------------------------------------
 * [net.impl] - a build function records operators; [ops] says what each is, [net.plan] makes a program of
 * them for each mode, [net.params] fills and packs parameters, [net.run] takes images through a program.
 * -------------------------------------------------------------------------------------------------------- */
/* An operator of one net: a row of [ops], its settings, and what planning finds out about it. */
typedef struct drl__op {
    const struct drl__op_info *info;
    int flags;                              /* of its row, or what its shape rule makes of them */
    /* operands (operator numbers: operator i makes value i), -1 for none */
    int a, b;
    int h, w, c;                            /* of the result */
    int extra_h, extra_w, extra_c;          /* of what the backward pass needs beside operands, and the */
    int extra_bits;                         /* bits of one number of it: 1, 8, 32; 0: nothing */
    int by_input, by_param;                 /* the result depends on the images; on parameters */
    int weight, bias;                       /* parameter numbers, -1 for none; a gain is a weight */
    drl_act act;
    float scale;                            /* of a sum; share that a dropout drops */
    float eps;                              /* of a norm, and its groups */
    int groups;
    drl_conv2d_desc conv;
    drl_spectral spectral;
    int keep_norm;
    /* offsets in the state block: the power iteration's vectors, and the norm found with them */
    size_t u, v, norm;
    size_t packed, packed_transposed;       /* offsets in the packed block */
    float sigma, weight_scale;              /* the norm in use; effective weight = weight_scale * weight */
    /* the norm divides: always but where DRL_SPECTRAL_CAP leaves a small weight alone */
    int normalised;
    /* while planning one mode: */
    int readers;                            /* instructions still to read the result */
    int value, gradient, extra, sums;       /* buffers, -1 for none yet */
} drl__op;

/* What an operator's functions are called with: views of the buffers of some images. A function finds only
 * what its pass needs; all else is NULL, and a tensor without data still has its sizes. */
typedef struct drl__op_call {
    drl_ctx *ctx;
    const drl__op *op;
    /* operands; in the backward pass those that the row says are read again */
    drl_tensor a, b;
    drl_tensor y;                           /* result; NULL data in the backward pass */
    drl_tensor dy;                          /* gradient by the result */
    /* gradient by an operand, to be written, or added to if accumulate is not 0 */
    drl_tensor dx;
    int accumulate;
    const float *weight, *bias;             /* parameters */
    const float *packed;                    /* all packed weights; op knows where its own lie */
    drl__fused fused;                       /* what a convolution does beside */
    void *extra;                            /* written by the forward pass, read by the backward pass */
    /* param_sums: [images][parameters with an entry per channel][channels] */
    float *sums;
    float *dweight;                         /* param_grad: added to */
    float *work;                            /* scratch, as much as the shape rule asked for */
    const drl_batch *batch;                 /* level values, labels, random numbers of these images */
    /* the first image's number in the batch; the operator's number in the net */
    int first, number;
} drl__op_call;

/* What an operator is built from: its operands, and the settings that its shape rule reads. */
typedef struct drl__op_settings {
    drl_value a, b;
    int h, w, c;
    const char *name;
    const drl_layer_desc *layer;
    drl_act act;
    float scale, eps;
    int groups, rank;
} drl__op_settings;

enum {
    /* Operands that the backward pass reads again, and what for */
    DRL__A_FOR_DA         = 1 << 0,
    DRL__B_FOR_DA         = 1 << 1,
    DRL__A_FOR_DB         = 1 << 2,
    DRL__A_FOR_PARAMS     = 1 << 3,
    /* Buffers that may be used twice. A result may lie where an operand did that nobody reads again, the
     * gradient by operand a where the gradient by the result did; some gradients are the one by the
     * result. */
    DRL__Y_OVER_A         = 1 << 4,
    DRL__Y_OVER_B         = 1 << 5,
    DRL__DA_OVER_DY       = 1 << 6,
    DRL__DA_IS_DY         = 1 << 7,
    DRL__DB_IS_DY         = 1 << 8,
    /* The identity but in training: only the training program has its extra buffer */
    DRL__ONLY_IN_TRAINING = 1 << 9
};

/* A row of the table of operators. The planner and the runner know operators by their rows alone; each row
 * stands at the end of its functions in [ops]. */
typedef struct drl__op_info {
    const char *name;                       /* of the function that builds it */
    int flags;
    /* The only place where operands and settings are checked: a sentence and a status, or DRL_OK with op's
     * sides, settings, parameters, scratch (drl__work_for) and extra buffer set. */
    drl_status (*shape)(drl_net *net, drl__op *op, const drl__op_settings *s);
    void (*forward)(const drl__op_call *c);
    /* by operand 0, a, or 1, b; NULL: there is none, or it is dy */
    void (*input_grad)(const drl__op_call *c, int operand);
    /* by parameters with an entry per channel: the sums over each image's pixels */
    void (*param_sums)(const drl__op_call *c);
    void (*param_grad)(const drl__op_call *c);  /* by a matrix of weights: added over all images at once */
} drl__op_info;

typedef enum drl__code {
    DRL__RUN,                               /* the forward pass of an operator */
    DRL__DX,                                /* gradient by an operand */
    /* a gradient that two operators share gets a buffer of its own, or two are added */
    DRL__COPY,
    /* each image's part of the gradient by parameters with an entry per channel */
    DRL__SUMS,
    DRL__ADD_SUMS,                          /* those parts, added over the images */
    DRL__DW                                 /* gradient by a matrix of weights */
} drl__code;

typedef struct drl__instr {
    drl__code code;
    int op;
    int operand;                            /* DX: by operand 0, a, or 1, b */
    /* buffers of the operands that are read, -1 for none; COPY: a is its source */
    int a, b;
    int dy;                                 /* buffer of the gradient by the result */
    int extra;                              /* buffer of what the backward pass needs beside operands */
    int y;                                  /* buffer of the result: a value, a gradient, or sums */
    int accumulate;
    /* RUN: the operator whose value is in y: the last one that was fused, or op itself */
    int value;
    int shift, add;                         /* buffers that are fused into a convolution, -1 for none */
    int gain, act;                          /* operators likewise; extra is then that of act */
} drl__instr;

/* Instructions that look at all images of a batch at once; all others work image by image. */
static int drl__whole_batch(const drl__instr *in) { return in->code == DRL__ADD_SUMS || in->code == DRL__DW; }

typedef struct drl__buffer {
    size_t bytes;                           /* for the whole batch, rounded up */
    /* of one image; in 64 bits, since bytes that fit size_t may be bits that do not */
    uint64_t bits_each;
    int first, last;                        /* instructions */
    int owners;                             /* gradients that lie here and have not been used up */
    size_t offset;                          /* in the arena */
} drl__buffer;

#define DRL__BUFFER_X  0                    /* outside of the arena: the images, and their gradient */
#define DRL__BUFFER_DX 1

typedef struct drl__program {
    drl__instr *instr;
    drl__buffer *buffer;
    int instr_count, forward_count, buffer_count;
    int out, dout;                          /* buffers */
    int slice;                              /* images that are run together: the buffers are for so many */
    size_t arena;                           /* bytes, whole cache lines */
    int ready;
} drl__program;

struct drl_net {
    drl_ctx *ctx;
    drl_net_desc desc;
    drl_status status;                      /* of building */
    /* tables, in this struct's block; NULL while counting */
    drl__op *op;
    drl_param *param;
    /* of the power iterations that files hold: slices of the state block */
    drl_param *vector;
    float *init_scale;                      /* [params], or DRL__INIT_... */
    char *names;
    drl__program program[3];
    int *order;                             /* of buffers, while they are placed */
    /* while the build function runs a second time: what it made in the first */
    const drl_net *counted;
    int op_count, param_count, vector_count;
    size_t names_size, params_size, state_size, packed_size;
    /* floats of scratch when an operator runs inside of one job, and when it is shared by all */
    size_t work_one, work_all;
    int has_level;
    int classes;                            /* labels go so far; 0: the net has none */
    /* second block */
    void *block;
    size_t block_bytes;
    float *params, *grads, *state, *packed;
    /* a program's buffers and scratch, one after the other for every thread */
    unsigned char *arena;
    size_t sliced_bytes, arena_step, arenas_bytes;
    drl_batch trained;                      /* last drl_net_train_forward; n 0: none to go back from */
    uint64_t stopped;                       /* the proposal whose forward pass has stopped; 0: none */
    int stopped_at;                         /* its next instruction */
};

/* The arena holds neither a batch to go back from nor a pass that has stopped: it, or the weights, change. */
static void drl__net_forget(drl_net *net)
{
    net->trained.n = 0;
    net->stopped = 0;
}

static drl_value drl__value_none(void)
{
    drl_value v;
    v.id = -1; v.h = v.w = v.c = 0;
    return v;
}

/* The first failure of building; the operators after it do nothing. */
static drl_value drl__build_fail(drl_net *net, drl_status status)
{
    if (net->status == DRL_OK) net->status = status;
    return drl__value_none();
}

/* A value's sides are what its operator made, which is known in the second run of the build function. */
static int drl__value_ok(const drl_net *net, const drl_value *v)
{
    if (v->id < 0 || v->id >= net->op_count || v->h < 1 || v->w < 1 || v->c < 1 || v->h > DRL__SIDE_MAX ||
        v->w > DRL__SIDE_MAX || v->c > DRL__SIDE_MAX) return 0;
    return !net->op || (net->op[v->id].h == v->h && net->op[v->id].w == v->w && net->op[v->id].c == v->c);
}

/* In its second run a build function may not ask for more than was counted in the first: there is no room. */
static int drl__build_room(drl_net *net, int ops, int params, int vectors, size_t names)
{
    const drl_net *counted = net->counted;
    if (!counted || (ops <= counted->op_count - net->op_count &&
                     params <= counted->param_count - net->param_count &&
                     vectors <= counted->vector_count - net->vector_count &&
                     names <= counted->names_size - net->names_size)) return 1;
    if (net->status == DRL_OK) net->status = drl__fail(net->ctx, DRL_E_ARGUMENT, "drl_net: the build "
                                                       "function made %d operators, then more, or others; "
                                                           "it must repeat itself", counted->op_count);
    return 0;
}

/* Special values of init_scale, which is otherwise the variance of first weights; 0 means all zero. */
#define DRL__INIT_ONES -1.0f
#define DRL__INIT_BIAS -2.0f                /* uniform within 1 / sqrt(fan-in) of the weight before it */

/* Keeps "name.suffix"; NULL while counting. */
static const char *drl__name_next(drl_net *net, const char *name, const char *suffix)
{
    size_t a = strlen(name), b = strlen(suffix) + 1;
    char *text = net->names ? net->names + net->names_size : NULL;
    if (!drl__build_room(net, 0, 0, 0, a + b)) return NULL;
    if (text) {
        memcpy(text, name, a);
        memcpy(text + a, suffix, b);
    }
    net->names_size += a + b;
    return text;
}

/* Room for `count` floats behind the *total of a block; returns its offset. A total of SIZE_MAX does not
 * fit, and stays so: drl__carve sees it. */
static size_t drl__floats_next(size_t *total, size_t count)
{
    size_t offset = *total;
    if (offset == SIZE_MAX || count > DRL__FLOATS_MAX || offset > DRL__FLOATS_MAX - count) {
        *total = SIZE_MAX;
        return 0;
    }
    *total = offset + DRL__ROUND16(count);
    return offset;
}

/* Room for `count` floats in the state block; returns its offset. */
static size_t drl__state_next(drl_net *net, size_t count)
{ return drl__floats_next(&net->state_size, count); }

/* Records a vector of the state block that files hold as "name.suffix"; returns its offset. */
static size_t drl__vector_next(drl_net *net, const char *name, const char *suffix, int count)
{
    size_t offset = drl__state_next(net, (size_t)count);
    const char *text = drl__build_room(net, 0, 0, 1, 0) ? drl__name_next(net, name, suffix) : NULL;
    if (net->vector && text) {
        drl_param *p = &net->vector[net->vector_count];
        p->name = text;
        p->rank = 1;
        p->shape[0] = count;
        p->offset = offset;
        p->count = (size_t)count;
    }
    ++net->vector_count;
    return offset;
}

/* Records a parameter "name.suffix" (suffix may be empty) of the given shape; returns its number. */
static int drl__param_next(drl_net *net, const char *name, const char *suffix, int rank, const int *shape,
    float init_scale)
{
    size_t count = 1, total = net->params_size, offset;
    uint64_t weights = 1;
    const char *text;
    int i, number = net->param_count;
    for (i = 0; i < rank; ++i) weights *= (uint64_t)shape[i];
    for (i = 0; i < rank; ++i)
        if (!drl__mul_fits(count, (size_t)shape[i], &count)) count = SIZE_MAX;
    offset = drl__floats_next(&total, count);
    if (total == SIZE_MAX) {
        drl__fail(net->ctx, DRL_E_SHAPE, "%s%s: %u weights after %z others do not fit one block of this "
                  "machine's memory", name, suffix, weights, net->params_size);
        drl__build_fail(net, DRL_E_SHAPE);
        return -1;
    }
    text = drl__build_room(net, 0, 1, 0, 0) ? drl__name_next(net, name, suffix) : NULL;
    if (net->status != DRL_OK) return -1;
    if (net->param) {
        drl_param *p = &net->param[number];
        p->name = text;
        p->rank = rank;
        for (i = 0; i < rank; ++i) p->shape[i] = shape[i];
        p->offset = offset;
        p->count = count;
        net->init_scale[number] = init_scale;
    }
    ++net->param_count;
    net->params_size = total;
    return number;
}

/* Scratch that an operator needs inside of one job, and when all threads share it; in floats. More than a
 * block can hold becomes SIZE_MAX. */
static void drl__work_for(drl_net *net, uint64_t one, uint64_t all)
{
    size_t floats = one <= DRL__FLOATS_MAX ? DRL__ROUND16(one) : SIZE_MAX;
    if (floats > net->work_one) net->work_one = floats;
    floats = all <= DRL__FLOATS_MAX ? DRL__ROUND16(all) : SIZE_MAX;
    if (floats > net->work_all) net->work_all = floats;
}

/* Adds an operator to the net: all builders end here. a and b are its operands, NULL for none. */
static drl_value drl__net_op(drl_net *net, const drl__op_info *info, const drl_value *a, const drl_value *b,
    drl__op_settings s)
{
    drl_value y = drl__value_none();
    drl_status status;
    drl__op op;
    if (!net || net->status != DRL_OK) return y;
    if ((a && !drl__value_ok(net, a)) || (b && !drl__value_ok(net, b)))
        return drl__build_fail(net, drl__fail(net->ctx, DRL_E_ARGUMENT, "%s: an operand is not a value of "
                                              "this net", info->name));
    memset(&op, 0, sizeof op);
    op.info = info;
    op.flags = info->flags;
    op.a = a ? a->id : -1;
    op.b = b ? b->id : -1;
    if (a) s.a = *a;
    if (b) s.b = *b;
    op.weight = op.bias = -1;
    status = info->shape(net, &op, &s);
    if (status != DRL_OK) return drl__build_fail(net, status);
    if (net->status != DRL_OK) return y;                        /* a parameter found no room */
    if (op.h < 1 || op.w < 1 || op.c < 1 || op.h > DRL__SIDE_MAX || op.w > DRL__SIDE_MAX ||
        op.c > DRL__SIDE_MAX)
        return drl__build_fail(net, drl__fail(net->ctx, DRL_E_SHAPE, "%s: a value of %d x %d x %d; sides of "
                                              "1 to %d are possible",
                                              info->name, op.h, op.w, op.c, DRL__SIDE_MAX));
    if (!drl__build_room(net, 1, 0, 0, 0)) return y;
    if (net->op) {
        op.by_input = op.by_input || (a && net->op[op.a].by_input) || (b && net->op[op.b].by_input);
        op.by_param = op.weight >= 0 || (a && net->op[op.a].by_param) || (b && net->op[op.b].by_param);
        net->op[net->op_count] = op;
    }
    y.id = net->op_count++;
    y.h = op.h; y.w = op.w; y.c = op.c;
    return y;
}

static drl__op_settings drl__no_settings(void)
{
    drl__op_settings s;
    memset(&s, 0, sizeof s);
    return s;
}

/* For shape rules: sides of the result; of the extra buffer, whose numbers have 1, 8 or 32 bits. */
static drl_status drl__op_sides(drl__op *op, int h, int w, int c)
{
    op->h = h;
    op->w = w;
    op->c = c;
    return DRL_OK;
}

static void drl__op_extra(drl__op *op, int h, int w, int c, int bits)
{
    op->extra_h = h;
    op->extra_w = w;
    op->extra_c = c;
    op->extra_bits = bits;
}

/* -----------------------------------------------------------------------------------------------------------
 * [ops] - the operators of a net. Each has one comment with its equation, and under it, side by side: its
 * shape rule, forward pass, gradients, row, and builder. How to add one is said in [changing].
 * -------------------------------------------------------------------------------------------------------- */

/* out [images][channels] (+)= scale * the sum over the pixels of x, or of x * factor. */
static void drl__sum_pixels(const drl__op_call *c, const drl_tensor *x, const float *factor, float scale,
    float *out, int accumulate)
{
    drl__columns(c->ctx, x->data, factor, NULL, (size_t)x->n, (size_t)x->h * (size_t)x->w, (size_t)x->c,
                 scale, out, accumulate);
}

/* -- the images themselves: operator 0 -- */

static drl_status drl__input_shape(drl_net *net, drl__op *op, const drl__op_settings *s)
{
    if (net->op_count || s->h < 1 || s->w < 1 || s->c < 1)
        return drl__fail(net->ctx, DRL_E_ARGUMENT, "drl_net_input: %d x %d x %d as operator %d; it comes "
                         "first and once, with sides of at least 1",
                         s->h, s->w, s->c, net->op_count);
    op->by_input = 1;
    return drl__op_sides(op, s->h, s->w, s->c);
}

static const drl__op_info drl__op_input = { "drl_net_input", 0, drl__input_shape, NULL, NULL, NULL, NULL };

DRL__CALL(drl_value, drl_net_input, (drl_net *net, int h, int w, int c), (net, h, w, c))
{
    drl__op_settings s = drl__no_settings();
    s.h = h;
    s.w = w;
    s.c = c;
    return drl__net_op(net, &drl__op_input, NULL, NULL, s);
}

/* -- sinusoidal level embedding: y (N,1,1,C) = [sin(v w_k), cos(v w_k)], k < C/2 --
 * w_k = exp(-k ln(10000) / (C/2 - 1)); v is the level number (DRL) or a function of its log-SNR (CDRL).
 * Products are rounded to float as in the published code. */

/* exp(x), -80 < x <= 0, bit for bit PyTorch's of a float on CPUs: polynomial and splitting of Sleef's
 * expf, a unit off in one of ten. Level values reach 1000, so another last bit of a frequency moves an
 * energy by 1e-5 and, by the leaky ReLUs that change sides, its gradient by the image by 1e-3. */
static float drl__exp_float(float x)
{
    static const float c[6] = { 1.98527617612853646e-4f, 1.39304355252534151e-3f, 8.33336077630519867e-3f,
        4.16664853692054749e-2f, 1.66666671633720398e-1f, 0.5f };
    int q = (int)(x * 1.44269504f - 0.5f), i;                       /* rounded: x = q ln 2 + s */
    float s = drl__fmaf((float)q, -1.428606765330187e-6f, drl__fmaf((float)q, -0.693145751953125f, x)),
        u = c[0];
    for (i = 1; i < 6; ++i) u = drl__fmaf(u, s, c[i]);
    u = drl__fmaf(drl__fmaf(s, s, 0.0f), u, s);
    u = drl__fmaf(u, 1.0f, 1.0f);
    for (; q < 0; ++q) u *= 0.5f;
    return u;
}

static drl_status drl__level_shape(drl_net *net, drl__op *op, const drl__op_settings *s)
{
    if (s->c < 4 || s->c % 2 || !net->op_count)
        return drl__fail(net->ctx, DRL_E_ARGUMENT, "drl_net_level: %d channels as operator %d; it takes an "
                         "even number from 4 up, and comes after the input",
                         s->c, net->op_count);
    net->has_level = 1;
    return drl__op_sides(op, 1, 1, s->c);
}

static void drl__level_forward(const drl__op_call *c)
{
    const float *v = c->batch->level;
    int n, k, half = c->y.c / 2;
    float step = (float)(-9.2103403719761827361 / (half - 1));      /* -ln(10000) / (half - 1) */
    for (k = 0; k < half; ++k) {
        float w = drl__exp_float((float)k * step);
        for (n = 0; n < c->y.n; ++n) {
            float turn = v[n] * w, *y = c->y.data + (size_t)n * (size_t)c->y.c;
            y[k] = (float)drl__sin((double)turn);
            y[half + k] = (float)drl__cos((double)turn);
        }
    }
}

static const drl__op_info drl__op_level = { "drl_net_level", 0, drl__level_shape, drl__level_forward, NULL,
    NULL, NULL };

DRL__CALL(drl_value, drl_net_level, (drl_net *net, int c), (net, c))
{
    drl__op_settings s = drl__no_settings();
    s.c = c;
    return drl__net_op(net, &drl__op_level, NULL, NULL, s);
}

/* -- label: y (N,1,1,1 + classes) is one for the image's class, else zero; class 0 stands for none -- */

static drl_status drl__label_shape(drl_net *net, drl__op *op, const drl__op_settings *s)
{
    if (s->c < 1 || s->c == INT32_MAX || !net->op_count || (net->classes && net->classes != s->c))
        return drl__fail(net->ctx, DRL_E_ARGUMENT, "drl_net_label: %d classes as operator %d, %d before; it "
                         "takes at least 1, the same number each time, "
                         "and comes after the input", s->c, net->op_count, net->classes);
    net->classes = s->c;
    return drl__op_sides(op, 1, 1, s->c + 1);
}

static void drl__label_forward(const drl__op_call *c)
{
    const int *label = c->batch->label;
    int i;
    memset(c->y.data, 0, drl_tensor_count(&c->y) * sizeof *c->y.data);
    for (i = 0; i < c->y.n; ++i) c->y.data[(size_t)i * (size_t)c->y.c + (size_t)(label ? label[i] : 0)] = 1;
}

static const drl__op_info drl__op_label = { "drl_net_label", 0, drl__label_shape, drl__label_forward, NULL,
    NULL, NULL };

DRL__CALL(drl_value, drl_net_label, (drl_net *net, int classes), (net, classes))
{
    drl__op_settings s = drl__no_settings();
    s.c = classes;
    return drl__net_op(net, &drl__op_label, NULL, NULL, s);
}

/* -- convolution, and dense layer on images of 1x1: the equation is at [conv], the passes in [conv.impl] --
 * The weight in use is weight_scale * weight, which a spectral norm sets; weights are packed by
 * drl_net_refresh. */

/* Where Winograd's algorithm is faster; a function of the layer alone, so that results depend on nothing
 * else. The packed weights of large layers would come from main memory in every call, four times as many
 * as there are. For a single tile the direct kernel reads so much less that one image gains more than
 * batches lose. */
static int drl__winograd_choice(int h, int w, int in, int out)
{
    size_t tiles = drl__winograd_tiles(1, h, w);
    if (in < 8 || out < 8 || tiles < 2 || tiles * 8 > (size_t)h * (size_t)w) return 0;
    return (size_t)in * (size_t)out < DRL__UNPACKED ? 1 : 2;
}

static int drl__wants_gradient(const drl__op *op, drl_net_mode mode)
{
    return mode == DRL_NET_INPUT_GRAD ? op->by_input : mode == DRL_NET_PARAM_GRAD ? op->by_param : 0;
}

/* Whether a gradient by the layer's operand is asked for, which reads weights that are packed the other
 * way. */
static int drl__needs_transposed(const drl_net *net, const drl__op *op)
{
    int mode, needs = 0;
    for (mode = DRL_NET_INPUT_GRAD; mode <= DRL_NET_PARAM_GRAD; ++mode)
        needs |= (net->desc.modes >> mode & 1) && drl__wants_gradient(&net->op[op->a], (drl_net_mode)mode);
    return needs;
}

/* The layer's parameters, and the vectors of its power iteration. */
static drl_status drl__conv2d_params(drl_net *net, drl__op *op, const drl_layer_desc *layer, int rank)
{
    int shape[4], kernel = op->conv.kernel;
    shape[0] = op->conv.out_channels; shape[1] = op->conv.in_channels; shape[2] = shape[3] = kernel;
    op->spectral = layer->spectral;
    op->keep_norm = layer->spectral && layer->keep_norm;
    op->weight = drl__param_next(net, layer->name, op->keep_norm ? ".weight_orig" : ".weight", rank, shape,
                                 layer->init_scale < 0 ? 0.0f :
                                 layer->init_scale > 0 ? layer->init_scale : 1.0f);
    if (!layer->no_bias) op->bias = drl__param_next(net, layer->name, ".bias", 1, shape,
                                                    layer->init_scale < 0 ? 0.0f : DRL__INIT_BIAS);
    if (net->status != DRL_OK) return net->status;
    if (op->keep_norm) {
        op->u = drl__vector_next(net, layer->name, ".weight_u", shape[0]);
        op->v = drl__vector_next(net, layer->name, ".weight_v", shape[1] * kernel * kernel);
    } else if (op->spectral) {
        op->u = drl__state_next(net, (size_t)shape[0]);
        op->v = drl__state_next(net, (size_t)shape[1] * (size_t)(kernel * kernel));
    }
    if (op->spectral) op->norm = drl__state_next(net, 1);
    return net->status;
}

static drl_status drl__conv2d_shape(drl_net *net, drl__op *op, const drl__op_settings *s)
{
    const drl_layer_desc *layer = s->layer;
    drl_conv2d_desc *conv = &op->conv;
    int dense = s->a.h == 1 && s->a.w == 1;
    drl_status status;
    char who[64];
    if (!layer || !layer->name)
        return drl__fail(net->ctx, DRL_E_ARGUMENT, "drl_net_conv2d: the layer has no name");
    drl__text(who, sizeof who, "drl_net_conv2d: '%s'", layer->name);
    status = drl__zeroed(net->ctx, "drl_layer_desc", layer->canary);
    if (status != DRL_OK) return status;
    conv->in_channels = s->a.c;
    conv->out_channels = layer->out_channels;
    conv->kernel = layer->kernel ? layer->kernel : dense ? 1 : 3;
    if (conv->kernel == 3)
        conv->winograd = drl__winograd_choice(s->a.h, s->a.w, s->a.c, conv->out_channels);
    status = drl__conv_valid(net->ctx, who, conv);
    if (status != DRL_OK) return status;
    if ((unsigned)layer->spectral > (unsigned)DRL_SPECTRAL_CAP)
        return drl__fail(net->ctx, DRL_E_ARGUMENT, "%s: spectral is %d; 0 to %d are possible",
                         who, (int)layer->spectral, (int)DRL_SPECTRAL_CAP);
    if (!drl__finite(layer->init_scale))
        return drl__fail(net->ctx, DRL_E_ARGUMENT, "%s: init_scale is not finite", who);
    status = drl__conv2d_params(net, op, layer, dense && conv->kernel == 1 ? 2 : 4);
    if (status != DRL_OK) return status;
    op->packed = drl__floats_next(&net->packed_size, drl_conv2d_packed_count(net->ctx, conv, 0));
    op->packed_transposed = net->packed_size;
    if (!net->op || drl__needs_transposed(net, op))
        drl__floats_next(&net->packed_size, drl_conv2d_packed_count(net->ctx, conv, 1));
    drl__work_for(net, drl__conv_work(net->ctx, conv, net->desc.batch, s->a.h, s->a.w, 1, 0),
                  drl__conv_work(net->ctx, conv, net->desc.batch, s->a.h, s->a.w, net->ctx->threads,
                                 net->desc.modes >> DRL_NET_PARAM_GRAD & 1));
    return drl__op_sides(op, s->a.h, s->a.w, conv->out_channels);
}

/* Large Winograd layers read their weights as they are. */
static const float *drl__conv2d_weight(const drl__op_call *c, size_t packed)
{ return c->op->conv.winograd == 2 ? c->weight : c->packed + packed; }

static void drl__conv2d_forward(const drl__op_call *c)
{
    drl__fused fused = c->fused;
    fused.bits_out = (uint8_t *)c->extra;                       /* of the ReLU that has become part of it */
    drl__conv_forward(c->ctx, &c->op->conv, &c->a, drl__conv2d_weight(c, c->op->packed), c->bias, &fused,
                      &c->y, c->work);
}

static void drl__conv2d_input_grad(const drl__op_call *c, int operand)
{
    drl__fused fused = c->fused;
    (void)operand;
    fused.bits = (const uint8_t *)c->extra;
    drl__conv_input_grad(c->ctx, &c->op->conv, &c->dy, drl__conv2d_weight(c, c->op->packed_transposed),
                         &fused, &c->dx, c->accumulate, c->work);
}

/* sums = sum of dy over the image's pixels: of a bias, and of a shift. */
static void drl__conv2d_param_sums(const drl__op_call *c)
{
    drl__sum_pixels(c, &c->dy, NULL, 1, c->sums, 0);
}

static void drl__conv2d_param_grad(const drl__op_call *c)
{
    drl__conv_param_grad(c->ctx, &c->op->conv, &c->a, &c->dy, c->dweight, c->work);
}

static const drl__op_info drl__op_conv2d = {
    "drl_net_conv2d", DRL__A_FOR_PARAMS,
    drl__conv2d_shape, drl__conv2d_forward, drl__conv2d_input_grad, drl__conv2d_param_sums,
        drl__conv2d_param_grad
};

DRL__CALL(drl_value, drl_net_conv2d, (drl_net *net, drl_value x, const drl_layer_desc *desc), (net, x, desc))
{
    drl__op_settings s = drl__no_settings();
    s.layer = desc;
    return drl__net_op(net, &drl__op_conv2d, &x, NULL, s);
}

/* -- activation: y = act(x), see drl_act; dx = act'(x) dy --
 * The ReLUs keep one bit per element, "x > 0": element e is bit e % 8 of byte e / 8. SiLU reads x again. */

static drl_status drl__act_shape(drl_net *net, drl__op *op, const drl__op_settings *s)
{
    if ((unsigned)s->act > (unsigned)DRL_ACT_SILU)
        return drl__fail(net->ctx, DRL_E_ARGUMENT, "drl_net_act: there is no activation number %d",
                         (int)s->act);
    op->act = s->act;
    if (s->act == DRL_ACT_SILU) op->flags |= DRL__A_FOR_DA;
    else if (s->act != DRL_ACT_NONE) drl__op_extra(op, s->a.h, s->a.w, s->a.c, 1);
    return drl__op_sides(op, s->a.h, s->a.w, s->a.c);
}

static void drl__act_forward(const drl__op_call *c)
{
    drl__act_args a;
    memset(&a, 0, sizeof a);
    a.act = c->op->act;
    a.x = c->a.data;
    a.y = c->y.data;
    a.bits_out = (uint8_t *)c->extra;
    drl__split(c->ctx, drl_tensor_count(&c->a), DRL__GRAIN,
               a.act == DRL_ACT_SILU ? c->ctx->kernels->silu : c->ctx->kernels->act, &a);
}

static void drl__act_input_grad(const drl__op_call *c, int operand)
{
    drl__act_args a;
    (void)operand;
    memset(&a, 0, sizeof a);
    a.act = c->op->act;
    a.x = c->a.data;
    a.bits = (const uint8_t *)c->extra;
    a.kept = 1;
    a.dy = c->dy.data;
    a.y = c->dx.data;
    a.accumulate = c->accumulate;
    drl__split(c->ctx, drl_tensor_count(&c->dy), DRL__GRAIN,
               a.act == DRL_ACT_SILU ? c->ctx->kernels->silu_grad : c->ctx->kernels->act_grad, &a);
}

static const drl__op_info drl__op_act = {
    "drl_net_act", DRL__Y_OVER_A | DRL__DA_OVER_DY, drl__act_shape, drl__act_forward, drl__act_input_grad,
    NULL, NULL
};

DRL__CALL(drl_value, drl_net_act, (drl_net *net, drl_value x, drl_act act), (net, x, act))
{
    drl__op_settings s = drl__no_settings();
    s.act = act;
    return drl__net_op(net, &drl__op_act, &x, NULL, s);
}

/* -- 2x2 mean pooling: y (N,H,W,C) = mean of each square of x (N,2H,2W,C); and nearest-neighbour doubling --
 * Each is the other's gradient, but for the factor 1/4. */

static drl_status drl__halved_shape(drl_net *net, drl__op *op, const drl__op_settings *s)
{
    if (s->a.h % 2 || s->a.w % 2)
        return drl__fail(net->ctx, DRL_E_SHAPE, "%s: %d x %d cannot be halved", op->info->name, s->a.h,
                         s->a.w);
    return drl__op_sides(op, s->a.h / 2, s->a.w / 2, s->a.c);
}

static drl_status drl__upsample2_shape(drl_net *net, drl__op *op, const drl__op_settings *s)
{
    (void)net;
    return drl__op_sides(op, s->a.h * 2, s->a.w * 2, s->a.c);
}

static void drl__resample(drl_ctx *ctx, const drl_tensor *from, const drl_tensor *to, float scale,
    int accumulate)
{
    int down = from->h > to->h;
    const drl_tensor *smaller = down ? to : from;
    drl__pool_args a;
    a.x = from->data;
    a.y = to->data;
    a.w = (size_t)smaller->w;
    a.c = (size_t)smaller->c;
    a.scale = scale;
    a.accumulate = accumulate;
    drl__split(ctx, (size_t)smaller->n * (size_t)smaller->h, drl__row_grain(a.w * a.c * 4),
               down ? ctx->kernels->pool : ctx->kernels->spread, &a);
}

static void drl__avgpool2_forward(const drl__op_call *c) { drl__resample(c->ctx, &c->a, &c->y, 0.25f, 0); }
static void drl__upsample2_forward(const drl__op_call *c) { drl__resample(c->ctx, &c->a, &c->y, 1, 0); }

static void drl__avgpool2_input_grad(const drl__op_call *c, int operand)
{
    (void)operand;
    drl__resample(c->ctx, &c->dy, &c->dx, 0.25f, c->accumulate);
}

static void drl__upsample2_input_grad(const drl__op_call *c, int operand)
{
    (void)operand;
    drl__resample(c->ctx, &c->dy, &c->dx, 1, c->accumulate);
}

static const drl__op_info drl__op_avgpool2 = {
    "drl_net_avgpool2", 0, drl__halved_shape, drl__avgpool2_forward, drl__avgpool2_input_grad, NULL, NULL
};
static const drl__op_info drl__op_upsample2 = {
    "drl_net_upsample2", 0, drl__upsample2_shape, drl__upsample2_forward, drl__upsample2_input_grad, NULL,
    NULL
};

DRL__CALL(drl_value, drl_net_avgpool2, (drl_net *net, drl_value x), (net, x))
{ return drl__net_op(net, &drl__op_avgpool2, &x, NULL, drl__no_settings()); }
DRL__CALL(drl_value, drl_net_upsample2, (drl_net *net, drl_value x), (net, x))
{ return drl__net_op(net, &drl__op_upsample2, &x, NULL, drl__no_settings()); }

/* -- 2x2 max pooling: y (N,H,W,C) = the largest of each square of x (N,2H,2W,C); dx = dy there, else 0 --
 * Which of the four it was is kept in a byte: number 2 r + s of row r and column s, the first of equal
 * ones; a NaN counts as the largest. */

static drl_status drl__maxpool2_shape(drl_net *net, drl__op *op, const drl__op_settings *s)
{
    drl__op_extra(op, s->a.h / 2, s->a.w / 2, s->a.c, 8);
    return drl__halved_shape(net, op, s);
}

/* Items are rows of the smaller images. */
typedef struct drl__maxpool_args {
    const float *x, *dy;
    float *y, *dx;
    /* [pixels of the smaller images][c], or NULL in a forward pass that nothing follows */
    uint8_t *which;
    size_t w, c;                            /* of the smaller images */
    int accumulate;
} drl__maxpool_args;

static void drl__maxpool2_span(const void *arg, size_t begin, size_t end, int job)
{
    const drl__maxpool_args *p = (const drl__maxpool_args *)arg;
    size_t row, j, k, q;
    (void)job;
    for (row = begin; row < end; ++row) for (j = 0; j < p->w; ++j) {
        size_t at = (row * p->w + j) * p->c, first = (row * 2 * p->w * 2 + j * 2) * p->c;
        for (k = 0; k < p->c; ++k) {
            float most = p->x[first + k];
            uint8_t which = 0;
            for (q = 1; q < 4; ++q) {
                float x = p->x[first + ((q >> 1) * p->w * 2 + (q & 1)) * p->c + k];
                if (x > most || x != x) { most = x; which = (uint8_t)q; }
            }
            p->y[at + k] = most;
            if (p->which) p->which[at + k] = which;
        }
    }
}

static void drl__maxpool2_dx_span(const void *arg, size_t begin, size_t end, int job)
{
    const drl__maxpool_args *p = (const drl__maxpool_args *)arg;
    size_t row, j, k, q;
    (void)job;
    for (row = begin; row < end; ++row) for (j = 0; j < p->w; ++j) {
        size_t at = (row * p->w + j) * p->c, first = (row * 2 * p->w * 2 + j * 2) * p->c;
        for (q = 0; q < 4; ++q) {
            float *dx = p->dx + first + ((q >> 1) * p->w * 2 + (q & 1)) * p->c;
            for (k = 0; k < p->c; ++k) {
                float d = p->which[at + k] == q ? p->dy[at + k] : 0.0f;
                dx[k] = p->accumulate ? dx[k] + d : d;
            }
        }
    }
}

static void drl__maxpool2(const drl__op_call *c, drl__span_fn span)
{
    drl__maxpool_args p;
    p.x = c->a.data;
    p.dy = c->dy.data;
    p.y = c->y.data;
    p.dx = c->dx.data;
    p.which = (uint8_t *)c->extra;
    p.w = (size_t)c->y.w;
    p.c = (size_t)c->y.c;
    p.accumulate = c->accumulate;
    drl__split(c->ctx, (size_t)c->y.n * (size_t)c->y.h, drl__row_grain(p.w * p.c * 4), span, &p);
}

static void drl__maxpool2_forward(const drl__op_call *c) { drl__maxpool2(c, drl__maxpool2_span); }

static void drl__maxpool2_input_grad(const drl__op_call *c, int operand)
{
    (void)operand;
    drl__maxpool2(c, drl__maxpool2_dx_span);
}

static const drl__op_info drl__op_maxpool2 = {
    "drl_net_maxpool2", 0, drl__maxpool2_shape, drl__maxpool2_forward, drl__maxpool2_input_grad, NULL, NULL
};

DRL__CALL(drl_value, drl_net_maxpool2, (drl_net *net, drl_value x), (net, x))
{ return drl__net_op(net, &drl__op_maxpool2, &x, NULL, drl__no_settings()); }

/* -- sum: y = a + b; da = db = dy -- */

/* Of operators whose operands have to agree in all sides. */
static drl_status drl__equal_shape(drl_net *net, drl__op *op, const drl__op_settings *s)
{
    if (s->a.h != s->b.h || s->a.w != s->b.w || s->a.c != s->b.c)
        return drl__fail(net->ctx, DRL_E_SHAPE, "%s: %d x %d x %d and %d x %d x %d", op->info->name, s->a.h,
                         s->a.w, s->a.c, s->b.h, s->b.w, s->b.c);
    return drl__op_sides(op, s->a.h, s->a.w, s->a.c);
}

static void drl__add_forward(const drl__op_call *c)
{
    drl__axpby(c->ctx, drl_tensor_count(&c->a), 1, c->a.data, 1, c->b.data, c->y.data);
}

static const drl__op_info drl__op_add = {
    "drl_net_add", DRL__Y_OVER_A | DRL__Y_OVER_B | DRL__DA_IS_DY | DRL__DB_IS_DY, drl__equal_shape,
    drl__add_forward, NULL, NULL, NULL
};

DRL__CALL(drl_value, drl_net_add, (drl_net *net, drl_value a, drl_value b), (net, a, b))
{ return drl__net_op(net, &drl__op_add, &a, &b, drl__no_settings()); }

/* -- concatenation: y = the channels of a, then those of b; da and db are dy's channels likewise -- */

/* Items are pixels: c channels from x to y, or added there, with x_step and y_step floats from pixel to
 * pixel. */
typedef struct drl__slice_args {
    const float *x;
    float *y;
    size_t c, x_step, y_step;
    int accumulate;
} drl__slice_args;

static void drl__slice_span(const void *arg, size_t begin, size_t end, int job)
{
    const drl__slice_args *a = (const drl__slice_args *)arg;
    size_t p, k;
    (void)job;
    for (p = begin; p < end; ++p) {
        const float *x = a->x + p * a->x_step;
        float *y = a->y + p * a->y_step;
        for (k = 0; k < a->c; k += DRL__LINE) { DRL__PREFETCH(x + k); DRL__PREFETCH(y + k); }
        if (!a->accumulate) memcpy(y, x, a->c * sizeof *y);
        else for (k = 0; k < a->c; ++k) y[k] = y[k] + x[k];
    }
}

static void drl__slice(drl_ctx *ctx, size_t pixels, size_t c, const float *x, size_t x_step, float *y,
    size_t y_step, int accumulate)
{
    drl__slice_args a;
    a.x = x;
    a.y = y;
    a.c = c;
    a.x_step = x_step;
    a.y_step = y_step;
    a.accumulate = accumulate;
    drl__split(ctx, pixels, drl__row_grain(c), drl__slice_span, &a);
}

static drl_status drl__concat_shape(drl_net *net, drl__op *op, const drl__op_settings *s)
{
    if (s->a.h != s->b.h || s->a.w != s->b.w || s->a.c > INT32_MAX - s->b.c)
        return drl__fail(net->ctx, DRL_E_SHAPE, "drl_net_concat: %d x %d x %d and %d x %d x %d", s->a.h,
                         s->a.w, s->a.c, s->b.h, s->b.w, s->b.c);
    return drl__op_sides(op, s->a.h, s->a.w, s->a.c + s->b.c);
}

static void drl__concat_forward(const drl__op_call *c)
{
    size_t pixels = drl__pixels(&c->y), ca = (size_t)c->a.c, cb = (size_t)c->b.c;
    drl__slice(c->ctx, pixels, ca, c->a.data, ca, c->y.data, ca + cb, 0);
    drl__slice(c->ctx, pixels, cb, c->b.data, cb, c->y.data + ca, ca + cb, 0);
}

static void drl__concat_input_grad(const drl__op_call *c, int operand)
{
    size_t channels = (size_t)c->dx.c;
    drl__slice(c->ctx, drl__pixels(&c->dy), channels, c->dy.data + (operand ? c->a.c : 0), (size_t)c->dy.c,
               c->dx.data, channels, c->accumulate);
}

static const drl__op_info drl__op_concat = {
    "drl_net_concat", 0, drl__concat_shape, drl__concat_forward, drl__concat_input_grad, NULL, NULL
};

DRL__CALL(drl_value, drl_net_concat, (drl_net *net, drl_value a, drl_value b), (net, a, b))
{ return drl__net_op(net, &drl__op_concat, &a, &b, drl__no_settings()); }

/* -- shift: y = x + shift, shift (N,1,1,C); dx = dy, dshift = the sum of dy over the pixels -- */

/* y (+)= x * gain + shift, with one gain and one shift for each channel of an image: see drl__affine_args. */
static void drl__affine(drl_ctx *ctx, drl__affine_args *a, const drl_tensor *y, int accumulate)
{
    a->y = y->data;
    a->rows = (size_t)y->h * (size_t)y->w;
    a->c = (size_t)y->c;
    a->accumulate = accumulate;
    drl__split(ctx, (size_t)y->n * a->rows, drl__row_grain(a->c), ctx->kernels->affine, a);
}

static drl_status drl__shift_shape(drl_net *net, drl__op *op, const drl__op_settings *s)
{
    if (s->b.h != 1 || s->b.w != 1 || s->b.c != s->a.c)
        return drl__fail(net->ctx, DRL_E_SHAPE, "drl_net_shift: the shift is %d x %d x %d, the images have "
                         "%d channels", s->b.h, s->b.w, s->b.c, s->a.c);
    return drl__op_sides(op, s->a.h, s->a.w, s->a.c);
}

static void drl__shift_forward(const drl__op_call *c)
{
    drl__affine_args a;
    memset(&a, 0, sizeof a);
    a.x = c->a.data;
    a.shift = c->b.data;
    a.shift_step = (size_t)c->a.c;
    drl__affine(c->ctx, &a, &c->y, 0);
}

static void drl__shift_input_grad(const drl__op_call *c, int operand)
{
    DRL_ASSERT(operand == 1);
    (void)operand;
    drl__sum_pixels(c, &c->dy, NULL, 1, c->dx.data, c->accumulate);
}

static const drl__op_info drl__op_shift = {
    "drl_net_shift", DRL__Y_OVER_A | DRL__DA_IS_DY, drl__shift_shape, drl__shift_forward,
    drl__shift_input_grad, NULL, NULL
};

DRL__CALL(drl_value, drl_net_shift, (drl_net *net, drl_value x, drl_value shift), (net, x, shift))
{ return drl__net_op(net, &drl__op_shift, &x, &shift, drl__no_settings()); }

/* -- scale and shift: y = x * (1 + scale) + shift; operand b (N,1,1,2C) holds scale, then shift, per image --
 * dx = dy * (1 + scale), dscale = the sum of x * dy over the pixels, dshift = the sum of dy. */

static drl_status drl__scale_shift_shape(drl_net *net, drl__op *op, const drl__op_settings *s)
{
    size_t work = 2 * (size_t)net->desc.batch * (size_t)s->a.c;
    if (s->b.h != 1 || s->b.w != 1 || s->b.c % 2 || s->b.c / 2 != s->a.c)
        return drl__fail(net->ctx, DRL_E_SHAPE, "drl_net_scale_shift: scale and shift are %d x %d x %d, the "
                         "images have %d channels", s->b.h, s->b.w, s->b.c, s->a.c);
    drl__work_for(net, work, work);
    return drl__op_sides(op, s->a.h, s->a.w, s->a.c);
}

/* y (+)= x * (1 + scale) + (shift, if with_shift) */
static void drl__scale_shift(const drl__op_call *c, const drl_tensor *x, int with_shift, const drl_tensor *y,
    int accumulate)
{
    drl__affine_args a;
    size_t i, k, n = (size_t)x->n, channels = (size_t)x->c;
    for (i = 0; i < n; ++i) for (k = 0; k < channels; ++k)
        c->work[i * channels + k] = 1.0f + c->b.data[i * 2 * channels + k];
    memset(&a, 0, sizeof a);
    a.x = x->data;
    a.gain = c->work;
    a.gain_step = channels;
    if (with_shift) a.shift = c->b.data + channels;
    a.shift_step = 2 * channels;
    drl__affine(c->ctx, &a, y, accumulate);
}

static void drl__scale_shift_forward(const drl__op_call *c) { drl__scale_shift(c, &c->a, 1, &c->y, 0); }

static void drl__scale_shift_input_grad(const drl__op_call *c, int operand)
{
    size_t i, k, n = (size_t)c->dy.n, channels = (size_t)c->dy.c;
    float *dscale = c->work, *dshift = c->work + n * channels;
    if (!operand) {
        drl__scale_shift(c, &c->dy, 0, &c->dx, c->accumulate);
        return;
    }
    drl__sum_pixels(c, &c->a, c->dy.data, 1, dscale, 0);
    drl__sum_pixels(c, &c->dy, NULL, 1, dshift, 0);
    for (i = 0; i < n; ++i) for (k = 0; k < channels; ++k) {
        float *d = c->dx.data + i * 2 * channels + k;
        d[0] = c->accumulate ? d[0] + dscale[i * channels + k] : dscale[i * channels + k];
        d[channels] = c->accumulate ? d[channels] + dshift[i * channels + k] : dshift[i * channels + k];
    }
}

static const drl__op_info drl__op_scale_shift = {
    "drl_net_scale_shift", DRL__B_FOR_DA | DRL__A_FOR_DB | DRL__Y_OVER_A | DRL__DA_OVER_DY,
    drl__scale_shift_shape, drl__scale_shift_forward, drl__scale_shift_input_grad, NULL, NULL
};

DRL__CALL(drl_value, drl_net_scale_shift,
    (drl_net *net, drl_value x, drl_value scale_shift),
    (net, x, scale_shift))
{ return drl__net_op(net, &drl__op_scale_shift, &x, &scale_shift, drl__no_settings()); }

/* -- gain: y = x * gain, a parameter [C] --
 * dx = dy * gain, dgain = the sum of x * dy over pixels and images. */

static drl_status drl__gain_shape(drl_net *net, drl__op *op, const drl__op_settings *s)
{
    int shape[4] = { 1, 1, 1, 1 };
    if (!s->name) return drl__fail(net->ctx, DRL_E_ARGUMENT, "drl_net_gain: a name is needed");
    shape[s->rank == 4] = s->a.c;                                 /* [c], or [1,c,1,1] for rank 4 */
    op->weight = drl__param_next(net, s->name, "", s->rank, shape, DRL__INIT_ONES);
    drl__work_for(net, (uint64_t)s->a.c, (uint64_t)s->a.c);
    return drl__op_sides(op, s->a.h, s->a.w, s->a.c);
}

static void drl__gain(const drl__op_call *c, const drl_tensor *x, const drl_tensor *y, int accumulate)
{
    drl__affine_args a;
    memset(&a, 0, sizeof a);
    a.x = x->data;
    a.gain = c->weight;
    drl__affine(c->ctx, &a, y, accumulate);
}

static void drl__gain_forward(const drl__op_call *c) { drl__gain(c, &c->a, &c->y, 0); }

static void drl__gain_input_grad(const drl__op_call *c, int operand)
{
    (void)operand;
    drl__gain(c, &c->dy, &c->dx, c->accumulate);
}

static void drl__gain_param_sums(const drl__op_call *c)
{
    drl__sum_pixels(c, &c->dy, c->a.data, 1, c->sums, 0);
}

static const drl__op_info drl__op_gain = {
    "drl_net_gain", DRL__A_FOR_PARAMS | DRL__Y_OVER_A | DRL__DA_OVER_DY,
    drl__gain_shape, drl__gain_forward, drl__gain_input_grad, drl__gain_param_sums, NULL
};

static drl_value drl__net_gain(drl_net *net, drl_value x, const char *name, int rank)
{
    drl__op_settings s = drl__no_settings();
    s.name = name;
    s.rank = rank;
    return drl__net_op(net, &drl__op_gain, &x, NULL, s);
}

DRL__CALL(drl_value, drl_net_gain, (drl_net *net, drl_value x, const char *name), (net, x, name))
{ return drl__net_gain(net, x, name, 1); }

/* -- group normalisation, image by image, over groups of neighbouring channels --
 *     y = (x - mean) * s * weight + bias,  s = 1 / sqrt(variance + eps)
 * Mean and (biased) variance are over all pixels of a group's channels; weight and bias are parameters
 * [C]. Each group's mean and s are kept. With w = weight and sums over the n numbers of a group:
 *     dx = s w dy - s / n sum(w dy) - (x - mean) s^3 / n sum(w dy (x - mean))
 *     dweight = sum of (x - mean) s dy over pixels and images, dbias = sum of dy */

static drl_status drl__group_norm_shape(drl_net *net, drl__op *op, const drl__op_settings *s)
{
    uint64_t work = 4 * (uint64_t)DRL__ROUND16(s->a.c);
    if (!s->name || s->groups < 1 || s->a.c % s->groups || !(s->eps >= 0 && drl__finite(s->eps)))
        return drl__fail(net->ctx, DRL_E_ARGUMENT, "drl_net_group_norm: '%s' has %d groups for %d channels, "
                         "eps %g; a name, groups that divide the channels "
                         "and eps from 0 up are needed", s->name ? s->name : "", s->groups, s->a.c,
                         (double)s->eps);
    op->weight = drl__param_next(net, s->name, ".weight", 1, &s->a.c, DRL__INIT_ONES);
    op->bias = drl__param_next(net, s->name, ".bias", 1, &s->a.c, 0.0f);
    op->groups = s->groups;
    op->eps = s->eps;
    drl__op_extra(op, 1, 2, s->groups, 32);
    drl__work_for(net, work, work * (uint64_t)net->ctx->threads);
    return drl__op_sides(op, s->a.h, s->a.w, s->a.c);
}

/* One image after the other, each several times while it is in the cache. */
typedef struct drl__group_norm_args {
    const drl_ctx *ctx;
    int groups;
    float eps;
    const float *x, *dy, *weight, *bias;
    float *y;                               /* or dx */
    float *moments;                         /* [images][groups][2], or NULL */
    /* parameter gradient: [images][2][c], of (x - mean) / std * dy and of dy */
    float *sums;
    float *scratch;                         /* 4 * each floats a job */
    size_t rows, c, each;
    int accumulate;
} drl__group_norm_args;

/* out[c] = sum over the rows of one image. */
static void drl__norm_sums(const drl__group_norm_args *a, const float *x, float *out)
{
    drl__columns_args k;
    memset(&k, 0, sizeof k);
    k.a = x;
    k.out = out;
    k.rows = a->rows;
    k.c = a->c;
    k.images = 1;
    k.scale = 1;
    a->ctx->kernels->columns(&k, 0, (a->c + 63) / 64, 0);
}

/* The channels of group g: sum of weight * sums in double; weight NULL stands for ones. */
static double drl__norm_group(const drl__group_norm_args *a, int g, const float *weight, const float *sums)
{
    size_t each = a->c / (size_t)a->groups, first = (size_t)g * each, i;
    double sum = 0;
    for (i = first; i < first + each; ++i)
        sum += weight ? (double)weight[i] * (double)sums[i] : (double)sums[i];
    return sum;
}

static void drl__norm_fill(const drl__group_norm_args *a, int g, float *out, float value)
{
    size_t each = a->c / (size_t)a->groups, i;
    for (i = 0; i < each; ++i) out[(size_t)g * each + i] = value;
}

static drl__norm_args drl__norm_image(const drl__group_norm_args *a, size_t image, const float *mean,
    float *y)
{
    drl__norm_args k;
    memset(&k, 0, sizeof k);
    k.x = a->x + image * a->rows * a->c;
    if (a->dy) k.dy = a->dy + image * a->rows * a->c;
    k.mean = mean;
    k.y = y;
    k.rows = a->rows;
    k.c = a->c;
    k.accumulate = a->accumulate;
    return k;
}

static void drl__group_norm_span(const void *arg, size_t begin, size_t end, int job)
{
    const drl__group_norm_args *a = (const drl__group_norm_args *)arg;
    float *mean = a->scratch + (size_t)job * 4 * a->each, *sums = mean + a->each, *gain = sums + a->each;
    size_t each = a->c / (size_t)a->groups, image, i;
    double count = (double)a->rows * (double)each;
    int g;
    for (image = begin; image < end; ++image) {
        drl__norm_args k = drl__norm_image(a, image, mean, sums);
        drl__norm_sums(a, k.x, sums);
        for (g = 0; g < a->groups; ++g) drl__norm_fill(a, g, mean,
                                                       (float)(drl__norm_group(a, g, NULL, sums) / count));
        a->ctx->kernels->moments(&k, 0, a->c, job);
        for (g = 0; g < a->groups; ++g) {
            float scale = (float)(1 / sqrt(drl__norm_group(a, g, NULL, sums) / count + (double)a->eps));
            drl__norm_fill(a, g, gain, scale);
            if (a->moments) {
                float *m = a->moments + (image * (size_t)a->groups + (size_t)g) * 2;
                m[0] = mean[(size_t)g * (a->c / (size_t)a->groups)];
                m[1] = scale;
            }
        }
        for (i = 0; i < a->c; ++i) gain[i] = gain[i] * a->weight[i];
        k.gain = gain;
        k.shift = a->bias;
        k.y = a->y + image * a->rows * a->c;
        a->ctx->kernels->normalize(&k, 0, a->rows, job);
    }
}

static void drl__group_norm_dx_span(const void *arg, size_t begin, size_t end, int job)
{
    const drl__group_norm_args *a = (const drl__group_norm_args *)arg;
    float *mean = a->scratch + (size_t)job * 4 * a->each, *gain = mean + a->each, *shift = gain + a->each,
        *dy_gain = shift + a->each;
    size_t each = a->c / (size_t)a->groups, image, i;
    double count = (double)a->rows * (double)each;
    int g;
    for (image = begin; image < end; ++image) {
        const float *m = a->moments + image * (size_t)a->groups * 2;
        drl__norm_args k = drl__norm_image(a, image, mean, gain);
        for (g = 0; g < a->groups; ++g) drl__norm_fill(a, g, mean, m[2 * g]);
        k.sums = shift;
        a->ctx->kernels->moments(&k, 0, a->c, job);
        for (g = 0; g < a->groups; ++g) {
            double s = (double)m[2 * g + 1], with_x = drl__norm_group(a, g, a->weight, gain),
                plain = drl__norm_group(a, g, a->weight, shift);
            drl__norm_fill(a, g, gain, (float)(-s * s * s * with_x / count));
            drl__norm_fill(a, g, shift, (float)(-s * plain / count));
            drl__norm_fill(a, g, dy_gain, m[2 * g + 1]);
        }
        for (i = 0; i < a->c; ++i) dy_gain[i] = dy_gain[i] * a->weight[i];
        k.gain = gain;
        k.shift = shift;
        k.dy_gain = dy_gain;
        k.y = a->y + image * a->rows * a->c;
        a->ctx->kernels->normalize(&k, 0, a->rows, job);
    }
}

static void drl__group_norm_dw_span(const void *arg, size_t begin, size_t end, int job)
{
    const drl__group_norm_args *a = (const drl__group_norm_args *)arg;
    float *mean = a->scratch + (size_t)job * 4 * a->each, *scale = mean + a->each;
    size_t image, i;
    int g;
    for (image = begin; image < end; ++image) {
        const float *m = a->moments + image * (size_t)a->groups * 2;
        float *with_x = a->sums + image * 2 * a->c;
        drl__norm_args k = drl__norm_image(a, image, mean, with_x);
        for (g = 0; g < a->groups; ++g) {
            drl__norm_fill(a, g, mean, m[2 * g]);
            drl__norm_fill(a, g, scale, m[2 * g + 1]);
        }
        k.sums = with_x + a->c;
        a->ctx->kernels->moments(&k, 0, a->c, job);
        for (i = 0; i < a->c; ++i) with_x[i] = with_x[i] * scale[i];
    }
}

static void drl__group_norm(const drl__op_call *c, const drl_tensor *y, float *sums, drl__span_fn fn)
{
    drl__group_norm_args a;
    a.ctx = c->ctx;
    a.groups = c->op->groups;
    a.eps = c->op->eps;
    a.x = c->a.data;
    a.dy = c->dy.data;
    a.weight = c->weight;
    a.bias = c->bias;
    a.y = y->data;
    a.moments = (float *)c->extra;
    a.sums = sums;
    a.scratch = c->work;
    a.rows = (size_t)c->a.h * (size_t)c->a.w;
    a.c = (size_t)c->a.c;
    a.each = DRL__ROUND16(c->a.c);
    a.accumulate = c->accumulate;
    drl__split(c->ctx, (size_t)c->a.n, drl__row_grain(a.rows * a.c), fn, &a);
}

static void drl__group_norm_forward(const drl__op_call *c)
{ drl__group_norm(c, &c->y, NULL, drl__group_norm_span); }

static void drl__group_norm_input_grad(const drl__op_call *c, int operand)
{
    (void)operand;
    drl__group_norm(c, &c->dx, NULL, drl__group_norm_dx_span);
}

static void drl__group_norm_param_sums(const drl__op_call *c)
{ drl__group_norm(c, &c->y, c->sums, drl__group_norm_dw_span); }

static const drl__op_info drl__op_group_norm = {
    "drl_net_group_norm", DRL__A_FOR_DA | DRL__A_FOR_PARAMS | DRL__Y_OVER_A | DRL__DA_OVER_DY,
    drl__group_norm_shape, drl__group_norm_forward, drl__group_norm_input_grad, drl__group_norm_param_sums,
        NULL
};

DRL__CALL(drl_value, drl_net_group_norm,
    (drl_net *net, drl_value x, const char *name, int groups, float eps),
    (net, x, name, groups, eps))
{
    drl__op_settings s = drl__no_settings();
    s.name = name;
    s.groups = groups;
    s.eps = eps;
    return drl__net_op(net, &drl__op_group_norm, &x, NULL, s);
}

/* -- attention with one head, every pixel of an image to every other --
 *     y_i = sum over j of p_ij v_j,  p_ij = softmax over j of (q_i' k_j / sqrt(C))
 * The operand (N,H,W,3C) holds q, then k, then v of each pixel; y is (N,H,W,C). The gradient computes p
 * again. */

static size_t drl__attention_each(size_t tokens, size_t c)
{ return DRL__ROUND16(2 * tokens * (c + DRL__QUERIES)); }

static drl_status drl__attention_shape(drl_net *net, drl__op *op, const drl__op_settings *s)
{
    size_t tokens = 0, floats = 0, all = 0;
    if (s->a.c % 3 || (int64_t)s->a.h * s->a.w > 65536)
        return drl__fail(net->ctx, DRL_E_SHAPE, "drl_net_attention: %d x %d x %d; three times the channels "
                         "of the result are needed, and at most 65536 pixels",
                         s->a.h, s->a.w, s->a.c);
    tokens = (size_t)s->a.h * (size_t)s->a.w;
    if (!drl__mul_fits(2 * tokens, (size_t)(s->a.c / 3) + DRL__QUERIES, &floats) ||
        floats > DRL__FLOATS_MAX ||
        !drl__mul_fits(DRL__ROUND16(floats), (size_t)net->ctx->threads,
                       &all)) all = floats = SIZE_MAX;      /* it does not fit */
    drl__work_for(net, floats, all);
    return drl__op_sides(op, s->a.h, s->a.w, s->a.c / 3);
}

static drl__attention_args drl__attention_args_of(const drl__op_call *c)
{
    drl__attention_args a;
    memset(&a, 0, sizeof a);
    a.qkv = c->a.data;
    a.tokens = (size_t)c->a.h * (size_t)c->a.w;
    a.c = (size_t)(c->a.c / 3);
    a.scale = (float)(1 / sqrt((double)a.c));
    a.scratch = c->work;
    a.scratch_each = drl__attention_each(a.tokens, a.c);
    return a;
}

static void drl__attention_forward(const drl__op_call *c)
{
    drl__attention_args a = drl__attention_args_of(c);
    a.y = c->y.data;
    drl__split(c->ctx, (size_t)c->y.n * ((a.tokens + DRL__QUERIES - 1) / DRL__QUERIES), 1 +
               DRL__GRAIN / DRL__QUERIES / a.tokens / a.c,
               c->ctx->kernels->attention, &a);
}

static void drl__attention_input_grad(const drl__op_call *c, int operand)
{
    drl__attention_args a = drl__attention_args_of(c);
    (void)operand;
    a.dy = c->dy.data;
    a.y = c->dx.data;
    a.accumulate = c->accumulate;
    drl__split(c->ctx, (size_t)c->dy.n, 1 + DRL__GRAIN / a.tokens / a.tokens / a.c,
               c->ctx->kernels->attention_grad, &a);
}

static const drl__op_info drl__op_attention = {
    "drl_net_attention", DRL__A_FOR_DA, drl__attention_shape, drl__attention_forward,
    drl__attention_input_grad, NULL, NULL
};

DRL__CALL(drl_value, drl_net_attention, (drl_net *net, drl_value qkv), (net, qkv))
{ return drl__net_op(net, &drl__op_attention, &qkv, NULL, drl__no_settings()); }

/* -- dropout: y = x * mask / (1 - p); dx = dy * mask / (1 - p) --
 * Each element is zero with probability p, to a multiple of 2^-16. The mask, one bit per element, is a
 * function of (seed, stream, operator, image, element) alone. Outside of training, or without random
 * numbers, y = x. */

static drl_status drl__dropout_shape(drl_net *net, drl__op *op, const drl__op_settings *s)
{
    if (!(s->scale >= 0 && s->scale < 1)) return drl__fail(net->ctx, DRL_E_ARGUMENT, "drl_net_dropout: p is "
                                                           "%g, not in [0, 1)", (double)s->scale);
    op->scale = s->scale;
    drl__op_extra(op, s->a.h, s->a.w, s->a.c, 1);
    return drl__op_sides(op, s->a.h, s->a.w, s->a.c);
}

static uint32_t drl__dropout_share(float p)
{ return (uint32_t)drl__min((int)((double)p * 65536 + 0.5), 65535); }

/* y (+)= x * mask / (1 - p), or x */
static void drl__dropout_apply(const drl__op_call *c, const drl_tensor *x, const drl_tensor *y)
{
    drl__act_args a;
    size_t count = drl_tensor_count(x);
    if (!c->batch->dropout) {
        drl__copy(c->ctx, count, x->data, y->data, c->accumulate);
        return;
    }
    memset(&a, 0, sizeof a);
    a.act = DRL_ACT_RELU;
    a.bits = (const uint8_t *)c->extra;
    a.kept = (float)(65536.0 / (65536.0 - (double)drl__dropout_share(c->op->scale)));
    a.dy = x->data;
    a.y = y->data;
    a.accumulate = c->accumulate;
    drl__split(c->ctx, count, DRL__GRAIN, c->ctx->kernels->act_grad, &a);
}

static void drl__dropout_forward(const drl__op_call *c)
{
    drl__dropout_args a;
    size_t count = drl_tensor_count(&c->a);
    if (c->batch->dropout) {
        a.rng = c->batch->dropout;
        a.number = c->number;
        a.first = (size_t)c->batch->dropout->position + (size_t)c->first;
        a.drop = drl__dropout_share(c->op->scale);
        a.image = count / (size_t)c->a.n;
        a.bits = (uint8_t *)c->extra;
        drl__split(c->ctx, count, DRL__GRAIN / 8, c->ctx->kernels->dropout, &a);
    }
    drl__dropout_apply(c, &c->a, &c->y);
}

static void drl__dropout_input_grad(const drl__op_call *c, int operand)
{
    (void)operand;
    drl__dropout_apply(c, &c->dy, &c->dx);
}

static const drl__op_info drl__op_dropout = {
    "drl_net_dropout", DRL__Y_OVER_A | DRL__DA_OVER_DY | DRL__ONLY_IN_TRAINING,
    drl__dropout_shape, drl__dropout_forward, drl__dropout_input_grad, NULL, NULL
};

DRL__CALL(drl_value, drl_net_dropout, (drl_net *net, drl_value x, float p), (net, x, p))
{
    drl__op_settings s = drl__no_settings();
    s.scale = p;
    return drl__net_op(net, &drl__op_dropout, &x, NULL, s);
}

/* -- sum over space: y (N,1,1,C) = scale * the sum of x over the pixels; dx = scale * dy at every pixel -- */

static drl_status drl__spatial_sum_shape(drl_net *net, drl__op *op, const drl__op_settings *s)
{
    if (!drl__finite(s->scale)) return drl__fail(net->ctx, DRL_E_ARGUMENT, "drl_net_spatial_sum: the "
                                                      "scale is %g", (double)s->scale);
    op->scale = s->scale;
    return drl__op_sides(op, 1, 1, s->a.c);
}

static void drl__spatial_sum_forward(const drl__op_call *c)
{
    drl__sum_pixels(c, &c->a, NULL, c->op->scale, c->y.data, 0);
}

static void drl__spatial_sum_input_grad(const drl__op_call *c, int operand)
{
    drl__affine_args a;
    (void)operand;
    memset(&a, 0, sizeof a);
    a.x0 = &c->op->scale;
    a.gain = c->dy.data;
    a.gain_step = (size_t)c->dx.c;
    drl__affine(c->ctx, &a, &c->dx, c->accumulate);
}

static const drl__op_info drl__op_spatial_sum = {
    "drl_net_spatial_sum", 0, drl__spatial_sum_shape, drl__spatial_sum_forward, drl__spatial_sum_input_grad,
    NULL, NULL
};

DRL__CALL(drl_value, drl_net_spatial_sum, (drl_net *net, drl_value x, float scale), (net, x, scale))
{
    drl__op_settings s = drl__no_settings();
    s.scale = scale;
    return drl__net_op(net, &drl__op_spatial_sum, &x, NULL, s);
}

/* -- inner product: y (N,1,1,1) = sum of a * b over all elements of an image; da = dy * b, db = dy * a -- */

static drl_status drl__dot_shape(drl_net *net, drl__op *op, const drl__op_settings *s)
{
    drl_status status = drl__equal_shape(net, op, s);
    return status == DRL_OK ? drl__op_sides(op, 1, 1, 1) : status;
}

static void drl__dot_forward(const drl__op_call *c)
{
    size_t i, size = (size_t)c->a.h * (size_t)c->a.w * (size_t)c->a.c;
    for (i = 0; i < (size_t)c->a.n; ++i)
        c->y.data[i] = drl__dot16(c->ctx, c->a.data + i * size, c->b.data + i * size, size);
}

static void drl__dot_input_grad(const drl__op_call *c, int operand)
{
    drl__affine_args a;
    drl_tensor rows = c->dx;                                    /* one row per image */
    rows.c *= rows.h * rows.w;
    rows.h = rows.w = 1;
    memset(&a, 0, sizeof a);
    a.x0 = c->dy.data;
    a.x0_step = 1;
    a.gain = operand ? c->a.data : c->b.data;
    a.gain_step = (size_t)rows.c;
    drl__affine(c->ctx, &a, &rows, c->accumulate);
}

static const drl__op_info drl__op_dot = {
    "drl_net_dot", DRL__B_FOR_DA | DRL__A_FOR_DB, drl__dot_shape, drl__dot_forward, drl__dot_input_grad, NULL,
    NULL
};

DRL__CALL(drl_value, drl_net_dot, (drl_net *net, drl_value a, drl_value b), (net, a, b))
{ return drl__net_op(net, &drl__op_dot, &a, &b, drl__no_settings()); }

/* -----------------------------------------------------------------------------------------------------------
 * [net.plan] - a mode is compiled to a program: a list of instructions on numbered buffers. A buffer lives
 * from the first instruction that names it to the last; buffers whose lives do not meet may lie in the
 * same place of one arena.
 *
 * An example: a residual block, out = sum over pixels of (v + conv_b(act(v))) with v = conv_a(images),
 * leaky ReLU, for one image of 8x8 with 4 channels, in mode DRL_NET_INPUT_GRAD. The columns are buffers;
 * w: written, r: read, |: alive.
 *
 *                                         2    3    4    5    6    7    8    9
 *     0  RUN  conv a  images -> 2         w
 *     1  RUN  act     2 -> 3, signs 4     r    w    w
 *     2  RUN  conv b  3 -> 5              |    r    |    w
 *     3  RUN  add     2 + 5 -> 2          rw        |    r
 *     4  RUN  sum     2 -> 6              r         |         w
 *     -- here 6 is read: the output; and 7 is written: the gradient by it --
 *     5  DX   sum     7 -> 8                        |         |    r    w
 *     6  DX   conv b  8 -> 9                        |                   r    w
 *     7  DX   act     9, signs 4 -> += 8            r                   rw   r
 *     8  DX   conv a  8 -> gradient by images                           r
 *     bytes                               1024 1024 64   1024 64   64   1024 1024
 *     offset in the arena                 0    1024 3072 2048 1024 1088 0    1024      together 3136
 *
 * Four rules can be seen. add writes over its operand 2, which nobody reads afterwards (DRL__Y_OVER_A).
 * The backward pass of a leaky ReLU reads signs, one bit per number, so that 3 can end at 2. The gradient
 * by a sum's operands is the gradient by its result: both share 8, add has no DX (DRL__DA_IS_DY), and
 * drl__gradient_pass counts the two owners. When act adds to 8, conv b has used up its share, so no copy
 * is needed (drl__gradient_slot). tests/test_net.c holds this program fast.
 * -------------------------------------------------------------------------------------------------------- */

/* A buffer for h x w x c numbers of each image, of 1, 8 or 32 bits. */
static int drl__buffer_new(drl__program *p, int h, int w, int c, int bits)
{
    drl__buffer *b = &p->buffer[p->buffer_count];
    size_t count = (size_t)p->slice * (size_t)h * (size_t)w * (size_t)c;    /* checked in drl__net_plan */
    memset(b, 0, sizeof *b);
    b->bytes = drl__round_up(bits == 1 ? (count + 7) / 8 : count * (size_t)(bits / 8), DRL__ALIGN);
    b->bits_each = (uint64_t)h * (uint64_t)w * (uint64_t)c * (uint64_t)bits;
    b->first = -1;
    return p->buffer_count++;
}

static drl__instr *drl__emit(drl__program *p, drl__code code, int op, int a, int b, int dy, int extra, int y)
{
    drl__instr *in = &p->instr[p->instr_count++];
    memset(in, 0, sizeof *in);
    in->code = code; in->op = in->value = op;
    in->a = a; in->b = b; in->dy = dy; in->extra = extra; in->y = y;
    in->shift = in->add = in->gain = in->act = -1;
    return in;
}

/* Whether the gradient by operand 0 or 1 of an operator is asked for. */
static int drl__wants_operand(const drl_net *net, const drl__op *op, int operand, drl_net_mode mode)
{
    int v = operand ? op->b : op->a;
    return v >= 0 && drl__wants_gradient(&net->op[v], mode);
}

/* Whether the backward pass of this mode reads an operand again. */
static int drl__reads_again(const drl_net *net, const drl__op *op, int operand, drl_net_mode mode)
{
    int da = drl__wants_operand(net, op, 0, mode), db = drl__wants_operand(net, op, 1, mode);
    if (operand) return da && (op->flags & DRL__B_FOR_DA);
    return (da && (op->flags & DRL__A_FOR_DA)) || (db && (op->flags & DRL__A_FOR_DB)) ||
           (mode == DRL_NET_PARAM_GRAD && op->weight >= 0 && (op->flags & DRL__A_FOR_PARAMS));
}

static int drl__needs_extra(const drl__op *op, drl_net_mode mode)
{
    if (op->flags & DRL__ONLY_IN_TRAINING) return op->extra_bits && mode == DRL_NET_PARAM_GRAD;
    return op->extra_bits && drl__wants_gradient(op, mode);
}

/* Parameters of an operator that have an entry per channel: how many there are, and the number of the
 * first. */
static int drl__op_vectors(const drl__op *op, int *first)
{
    *first = op->info->param_grad ? op->bias : op->weight;     /* a matrix of weights is no such parameter */
    return *first < 0 ? 0 : *first == op->weight && op->bias >= 0 ? 2 : 1;
}

/* Three ways to find the buffer of a gradient. drl__gradient_slot: the buffer where the gradient by value
 * v is to be written, or added to what another reader of v has left there (*accumulate). If that buffer is
 * also another value's gradient, as both operands of a sum have the same one, it is copied first. */
static int drl__gradient_slot(drl_net *net, drl__program *p, int v, int *accumulate)
{
    drl__op *op = &net->op[v];
    int fresh;
    *accumulate = op->gradient >= 0;
    if (op->gradient >= 0 && p->buffer[op->gradient].owners == 1) return op->gradient;
    fresh = op->info == &drl__op_input ? DRL__BUFFER_DX : drl__buffer_new(p, op->h, op->w, op->c, 32);
    if (op->gradient >= 0) {
        drl__emit(p, DRL__COPY, v, op->gradient, -1, -1, -1, fresh);
        --p->buffer[op->gradient].owners;
    }
    op->gradient = fresh;
    p->buffer[fresh].owners = 1;
    return fresh;
}

/* drl__gradient_reuse: for operand a of operator i, which is the last to read the gradient by its result:
 * its buffer, if nobody shares it and the row allows that. */
static int drl__gradient_reuse(drl_net *net, drl__program *p, int i, int *accumulate)
{
    drl__op *op = &net->op[i], *a = &net->op[op->a];
    if (!(op->flags & DRL__DA_OVER_DY) || a->gradient >= 0 || a->info == &drl__op_input ||
        p->buffer[op->gradient].owners != 1)
        return drl__gradient_slot(net, p, op->a, accumulate);
    a->gradient = op->gradient;
    ++p->buffer[op->gradient].owners;
    *accumulate = 0;
    return op->gradient;
}

/* drl__gradient_pass: the gradient by value v is g itself. If v has none yet, it shares the buffer; else g
 * is added. */
static void drl__gradient_pass(drl_net *net, drl__program *p, int v, int g, drl_net_mode mode)
{
    drl__op *op = &net->op[v];
    int accumulate, slot;
    drl__instr *in;
    if (!drl__wants_gradient(op, mode)) return;
    if (op->gradient < 0 && op->info != &drl__op_input) {
        op->gradient = g;
        ++p->buffer[g].owners;
        return;
    }
    slot = drl__gradient_slot(net, p, v, &accumulate);
    in = drl__emit(p, DRL__COPY, v, g, -1, -1, -1, slot);
    in->accumulate = accumulate;
}

/* Whether operator op may write its result over that of its operand v: nobody reads that any more. */
static int drl__result_over(const drl__op *op, int flag, const drl__op *v)
{
    return (op->flags & flag) && !v->readers && v->value != DRL__BUFFER_X;
}

static void drl__compile_forward(drl_net *net, drl__program *p, drl_net_mode mode)
{
    int i;
    for (i = 0; i < net->op_count; ++i) {
        drl__op *op = &net->op[i];
        op->readers = 0;
        op->value = op->gradient = op->extra = op->sums = -1;
    }
    for (i = 0; i < net->op_count; ++i) {
        drl__op *op = &net->op[i];
        if (op->a >= 0) net->op[op->a].readers += 1 + drl__reads_again(net, op, 0, mode);
        if (op->b >= 0) net->op[op->b].readers += 1 + drl__reads_again(net, op, 1, mode);
    }
    net->op[0].value = DRL__BUFFER_X;
    for (i = 1; i < net->op_count; ++i) {
        drl__op *op = &net->op[i];
        drl__op *a = op->a >= 0 ? &net->op[op->a] : NULL, *b = op->b >= 0 ? &net->op[op->b] : NULL;
        if (a) --a->readers;
        if (b) --b->readers;
        if (a && drl__result_over(op, DRL__Y_OVER_A, a)) op->value = a->value;
        else if (b && drl__result_over(op, DRL__Y_OVER_B, b)) op->value = b->value;
        else op->value = drl__buffer_new(p, op->h, op->w, op->c, 32);
        if (drl__needs_extra(op, mode)) op->extra = drl__buffer_new(p, op->extra_h, op->extra_w, op->extra_c,
            op->extra_bits);
        drl__emit(p, DRL__RUN, i, a ? a->value : -1, b ? b->value : -1, -1, op->extra, op->value);
    }
    p->forward_count = p->instr_count;
    p->out = net->op[net->op_count - 1].value;
    p->dout = -1;
}

/* Gradients by the parameters of operator i. */
static void drl__compile_params(drl_net *net, drl__program *p, int i)
{
    drl__op *op = &net->op[i];
    int first, vectors = drl__op_vectors(op, &first),
        a = op->flags & DRL__A_FOR_PARAMS ? net->op[op->a].value : -1;
    if (op->info->param_grad) drl__emit(p, DRL__DW, i, a, -1, op->gradient, -1, -1);
    if (!vectors) return;
    op->sums = drl__buffer_new(p, 1, vectors, op->c, 32);
    drl__emit(p, DRL__SUMS, i, a, -1, op->gradient, op->extra, op->sums);
}

/* The gradient by operand 0 or 1 of operator i. */
static void drl__compile_operand(drl_net *net, drl__program *p, int i, int operand, drl_net_mode mode)
{
    drl__op *op = &net->op[i];
    int v = operand ? op->b : op->a, a = -1, b = -1, slot, accumulate;
    drl__instr *in;
    if (!drl__wants_operand(net, op, operand, mode)) return;
    if (op->flags & (operand ? DRL__DB_IS_DY : DRL__DA_IS_DY)) {
        drl__gradient_pass(net, p, v, op->gradient, mode);
        return;
    }
    slot = operand ? drl__gradient_slot(net, p, v, &accumulate) : drl__gradient_reuse(net, p, i, &accumulate);
    if (op->flags & (operand ? DRL__A_FOR_DB : DRL__A_FOR_DA)) a = net->op[op->a].value;
    if (!operand && (op->flags & DRL__B_FOR_DA)) b = net->op[op->b].value;
    in = drl__emit(p, DRL__DX, i, a, b, op->gradient, op->extra, slot);
    in->operand = operand;
    in->accumulate = accumulate;
}

static void drl__compile_backward(drl_net *net, drl__program *p, drl_net_mode mode)
{
    int i;
    drl__op *last = &net->op[net->op_count - 1];
    p->dout = last->gradient = drl__buffer_new(p, last->h, last->w, last->c, 32);
    p->buffer[p->dout].owners = 1;
    for (i = net->op_count - 1; i > 0; --i) {
        drl__op *op = &net->op[i];
        int b_first = (op->flags & (DRL__DA_OVER_DY | DRL__DA_IS_DY)) && !(op->flags & DRL__DB_IS_DY);
        if (op->gradient < 0) continue;
        if (mode == DRL_NET_PARAM_GRAD && op->weight >= 0) drl__compile_params(net, p, i);
        /* an operand that takes dy's buffer comes last */
        drl__compile_operand(net, p, i, b_first, mode);
        drl__compile_operand(net, p, i, !b_first, mode);
        --p->buffer[op->gradient].owners;                       /* this operator's gradient is used up */
    }
    for (i = net->op_count - 1; i > 0; --i)
        if (net->op[i].sums >= 0) drl__emit(p, DRL__ADD_SUMS, i, net->op[i].sums, -1, -1, -1, -1);
}

/* Whether value v is read by one operator, once; the last value is also read by the caller. */
static int drl__has_one_reader(const drl_net *net, int v)
{
    int i, readers = v == net->op_count - 1;
    for (i = 0; i < net->op_count; ++i) readers += (net->op[i].a == v) + (net->op[i].b == v);
    return readers == 1;
}

static int drl__is_relu(const drl__op *op)
{
    return op->info == &drl__op_act && (op->act == DRL_ACT_LEAKY_RELU || op->act == DRL_ACT_RELU);
}

/* Whether the gradient by the images is constant but at kinks, where it jumps, in some operator. */
static int drl__net_has_kinks(const drl_net *net)
{
    int i;
    for (i = 0; i < net->op_count; ++i)
        if (drl__is_relu(&net->op[i]) || net->op[i].info == &drl__op_maxpool2) return 1;
    return 0;
}

/* Makes instruction `in` part of the convolution `conv` before it, if drl__fused has a place for it:
 * act(gain * (conv + shift) + add), where each may be left out, but what is there comes in this order. */
static int drl__fuse_forward(const drl_net *net, const drl__instr *in, drl__instr *conv)
{
    const drl__op *op = &net->op[in->op];
    int other = op->a == conv->value ? in->b : in->a;
    if (conv->code != DRL__RUN || !net->op[conv->op].conv.winograd || in->y == conv->a) return 0;
    if ((op->a != conv->value && op->b != conv->value) || !drl__has_one_reader(net, conv->value)) return 0;
    if (conv->act >= 0) return 0;
    if (op->info == &drl__op_shift && op->a == conv->value && conv->shift < 0 && conv->gain < 0 &&
        conv->add < 0) conv->shift = other;
    else if (op->info == &drl__op_gain && conv->gain < 0 && conv->add < 0) conv->gain = in->op;
    else if (op->info == &drl__op_add && op->a != op->b && conv->add < 0) conv->add = other;
    else if (drl__is_relu(op) && op->c % DRL__LANES == 0) { conv->act = in->op; conv->extra = in->extra; }
    else return 0;
    conv->y = in->y;
    conv->value = in->op;
    return 1;
}

/* In the backward pass a convolution takes in the gradient of a gain that comes right before it, or that
 * of a ReLU right after it; returns the fused instruction in `in`. */
static int drl__fuse_backward(const drl_net *net, drl__instr *in, const drl__instr *before)
{
    const drl__op *op = &net->op[in->op], *past = &net->op[before->op];
    drl__instr conv;
    if (in->code != DRL__DX || before->code != DRL__DX || before->accumulate || before->y != in->dy) return 0;
    if (op->conv.winograd && past->info == &drl__op_gain && past->a == in->op && in->y != before->dy) {
        in->dy = before->dy;
        in->gain = before->op;
        return 1;
    }
    if (past->conv.winograd && drl__is_relu(op) && past->a == in->op && drl__has_one_reader(net, in->op) &&
        op->c % DRL__LANES == 0 &&
        in->y != before->dy) {
        conv = *before;
        conv.y = in->y;
        conv.accumulate = in->accumulate;
        conv.act = in->op;
        conv.extra = in->extra;
        *in = conv;
        return 1;
    }
    return 0;
}

/* Operators that follow a Winograd convolution become part of it: values then need not pass through memory
 * between them. The convolution moves down to the place of the last one. It may pass an instruction only
 * if that does not write what the convolution reads. Not in the training program, whose parameter
 * gradients read the values in between. */
static void drl__fuse(const drl_net *net, drl__program *p)
{
    int n = 0, i, j, k, forward = p->forward_count;
    for (i = 0; i < p->instr_count; ++i) {
        drl__instr in = p->instr[i];
        if (i == p->forward_count) forward = n;
        if (i < p->forward_count) {
            for (j = n - 1; j >= 0; --j) {
                drl__instr conv = p->instr[j];
                int clear = 1;
                if (!drl__fuse_forward(net, &in, &conv)) continue;
                for (k = j + 1; k < n; ++k) if (p->instr[k].y == conv.a || p->instr[k].extra == conv.a)
                    clear = 0;
                if (!clear) continue;
                for (k = j; k + 1 < n; ++k) p->instr[k] = p->instr[k + 1];
                --n;
                in = conv;
                break;
            }
        } else if (n > forward && drl__fuse_backward(net, &in, &p->instr[n - 1])) --n;
        p->instr[n++] = in;
    }
    if (p->forward_count == p->instr_count) forward = n;
    p->forward_count = forward;
    p->instr_count = n;
}

static void drl__use(drl__program *p, int buffer, int when)
{
    drl__buffer *b = buffer < 0 ? NULL : &p->buffer[buffer];
    if (!b) return;
    if (b->first < 0) b->first = when;
    b->last = when;
}

/* When each buffer is used first and last. In the training program, instructions between two that look at
 * the whole batch count as simultaneous: threads take different images through them, and are not at the
 * same instruction. */
static void drl__lifetimes(drl__program *p, drl_net_mode mode)
{
    int i, from = 0, to;
    for (i = 0; i <= p->instr_count; ++i) {
        const drl__instr *in = &p->instr[i];
        /* the result stays readable until the gradient by it arrives */
        if (i == p->forward_count) {
            drl__use(p, p->out, i);
            drl__use(p, p->dout, i);
        }
        if (i == p->instr_count) break;
        drl__use(p, in->a, i);
        drl__use(p, in->b, i);
        drl__use(p, in->dy, i);
        drl__use(p, in->extra, i);
        drl__use(p, in->shift, i);
        drl__use(p, in->add, i);
        drl__use(p, in->y, i);
    }
    for (; mode == DRL_NET_PARAM_GRAD && from < p->instr_count; from = to) {
        for (to = from + 1; to < p->instr_count && to != p->forward_count &&
             !drl__whole_batch(&p->instr[to]) && !drl__whole_batch(&p->instr[from]); ++to) {}
        for (i = 2; i < p->buffer_count; ++i) {
            drl__buffer *b = &p->buffer[i];
            /* in use beside all that ends in this stretch */
            if (b->first > from && b->first < to) b->first = from;
        }
    }
}

/* Places buffers, largest first, at the lowest offset that is free during their whole life. order: scratch
 * [buffer_count]. An arena that no block can hold has SIZE_MAX bytes; no sum wraps before that is seen,
 * since what is placed ends within PTRDIFF_MAX. */
static void drl__place(drl__program *p, int *order)
{
    int i, j, k, n = 0;
    p->arena = 0;
    for (i = 2; i < p->buffer_count; ++i) {
        if (p->buffer[i].first < 0) continue;
        for (j = n++; j > 0 && p->buffer[order[j - 1]].bytes < p->buffer[i].bytes; --j)
            order[j] = order[j - 1];
        order[j] = i;
    }
    for (i = 0; i < n; ++i) {
        drl__buffer *b = &p->buffer[order[i]];
        int moved = 1;
        b->offset = 0;
        if (b->bytes > (size_t)PTRDIFF_MAX) { p->arena = SIZE_MAX; return; }
#ifdef DRL__ASAN
        b->offset = p->arena;
        p->arena += b->bytes + DRL__ALIGN;
        if (p->arena > (size_t)PTRDIFF_MAX) { p->arena = SIZE_MAX; return; }
        continue;
#endif
        /* slide past every placed neighbour in time that overlaps in space */
        while (moved) {
            moved = 0;
            for (k = 0; k < i; ++k) {
                const drl__buffer *o = &p->buffer[order[k]];
                if (o->last < b->first || b->last < o->first || o->offset >= b->offset + b->bytes ||
                    b->offset >= o->offset + o->bytes) continue;
                b->offset = o->offset + o->bytes;
                moved = 1;
            }
        }
        if (b->offset + b->bytes > (size_t)PTRDIFF_MAX) { p->arena = SIZE_MAX; return; }
        if (b->offset + b->bytes > p->arena) p->arena = b->offset + b->bytes;
    }
}

/* Images that one thread takes through the net together. Their largest activations should stay in the
 * second-level cache; but all weights are read once for every slice, so slices are longer where there are
 * many. Results do not depend on it. */
#define DRL__SLICE_BYTES   (640u << 10)
#define DRL__SLICE_WEIGHTS (256u << 10)         /* weights that one more image a slice pays for */

static int drl__net_slice(const drl_net *net)
{
    size_t most = 1, n;
    int i;
    for (i = 0; i < net->op_count; ++i) {
        size_t bytes = (size_t)net->op[i].h * (size_t)net->op[i].w * (size_t)net->op[i].c * sizeof(float);
        if (bytes > most) most = bytes;
    }
    n = 1 + DRL__SLICE_BYTES / most + net->params_size / DRL__SLICE_WEIGHTS;
    return n < (size_t)net->desc.batch ? (int)n : net->desc.batch;
}

/* Bytes of the arenas: for slices, every thread has buffers and scratch of its own. A program that runs
 * alone has its scratch, for all threads, behind its buffers: the one of training, and a slice that is the
 * whole batch. */
static size_t drl__net_arenas(drl_net *net)
{
    size_t total = 0, alone = 0, trained = 0, work;
    int mode;
    for (mode = 0; mode < DRL_NET_PARAM_GRAD; ++mode)
        if (net->program[mode].ready && net->program[mode].arena > net->sliced_bytes)
            net->sliced_bytes = net->program[mode].arena;
    drl__carve(&net->arena_step, net->sliced_bytes, 1);
    drl__carve(&net->arena_step, net->work_one, sizeof(float));
    if (!drl__mul_fits(net->arena_step, (size_t)net->ctx->threads, &total)) return SIZE_MAX;
    drl__carve(&alone, net->sliced_bytes, 1);
    drl__carve(&alone, net->work_all, sizeof(float));
    if (net->program[DRL_NET_PARAM_GRAD].ready) {
        if (!drl__mul_fits(net->work_one, (size_t)net->ctx->threads, &work)) return SIZE_MAX;
        drl__carve(&trained, net->program[DRL_NET_PARAM_GRAD].arena, 1);
        drl__carve(&trained, work > net->work_all ? work : net->work_all, sizeof(float));
    }
    if (alone > total) total = alone;
    return trained > total ? trained : total;
}

/* Arrays that the network has in a file. */
static int drl__net_tensors(const drl_net *net) { return net->param_count + net->vector_count; }

/* Bounds on a program's tables, by mode: a value, its bits, a gradient, a copy of it and sums for each
 * operator; forward, two gradients by operands with a copy before each, and three by parameters. */
static const size_t drl__buffers_per_op[3] = { 2, 4, 5 }, drl__instrs_per_op[3] = { 1, 5, 8 };

static size_t drl__net_place_tables(drl_net *net, const drl_net *count, void *block)
{
    size_t total = 0, ops = (size_t)count->op_count;
    int mode;
    drl__place_array(block, &total, 1, sizeof *net);
    net->op = (drl__op *)drl__place_array(block, &total, ops, sizeof(drl__op));
    net->param = (drl_param *)drl__place_array(block, &total, (size_t)count->param_count, sizeof(drl_param));
    net->vector = (drl_param *)drl__place_array(block, &total, (size_t)count->vector_count,
                                                sizeof(drl_param));
    net->init_scale = drl__place_floats(block, &total, (size_t)count->param_count);
    net->names = (char *)drl__place_array(block, &total, count->names_size, 1);
    net->order = (int *)drl__place_array(block, &total, ops * drl__buffers_per_op[DRL_NET_PARAM_GRAD] + 2,
                                         sizeof(int));
    for (mode = 0; mode < 3; ++mode) {
        drl__program *p = &net->program[mode];
        size_t n = count->desc.modes >> mode & 1 ? ops : 0;
        p->instr = (drl__instr *)drl__place_array(block, &total, n * drl__instrs_per_op[mode],
                                                  sizeof(drl__instr));
        p->buffer = (drl__buffer *)drl__place_array(block, &total, n * drl__buffers_per_op[mode] + 2,
                                                    sizeof(drl__buffer));
    }
    return total;
}

/* Runs the build function twice: to count operators, and to fill tables of that size. The net and its
 * tables are one block, which the caller frees. tensors_max: a network from a file's description can have
 * no more tensors than the file, which is checked before the tables are allocated; else SIZE_MAX. */
static drl_status drl__net_build(drl_ctx *ctx, drl_net_build_fn build, void *user, const drl_net_desc *desc,
                                 size_t tensors_max, drl_net **out)
{
    drl_net count, *net;
    size_t total;
    memset(&count, 0, sizeof count);
    if (desc) count.desc = *desc;
    if (!count.desc.batch) count.desc.batch = 16;
    if (!count.desc.modes) count.desc.modes = 1 << DRL_NET_FORWARD;
    if (drl__zeroed(ctx, "drl_net_desc", count.desc.canary) != DRL_OK) return DRL_E_ARGUMENT;
    if (count.desc.batch < 1 || count.desc.batch > DRL__SIDE_MAX)
        return drl__fail(ctx, DRL_E_ARGUMENT, "drl_net: batch is %d; 1 to %d are possible",
                         count.desc.batch, DRL__SIDE_MAX);
    if (count.desc.modes < 1 || count.desc.modes > 7)
        return drl__fail(ctx, DRL_E_ARGUMENT, "drl_net: modes is %d; 1 to 7 are possible", count.desc.modes);
    count.ctx = ctx;
    build(&count, user);
    if (count.status == DRL_OK && count.op_count < 2)
        count.status = drl__fail(ctx, DRL_E_ARGUMENT, "drl_net: the build function has made %d operators; "
                                 "at least an input and one more are needed", count.op_count);
    if (count.status == DRL_OK && (size_t)drl__net_tensors(&count) > tensors_max)
        count.status = drl__fail(ctx, DRL_E_FORMAT, "drl_net: the network has %d tensors, the file %z",
                                 drl__net_tensors(&count), tensors_max);
    if (count.status != DRL_OK) return count.status;

    total = drl__net_place_tables(&count, &count, NULL);
    net = total == SIZE_MAX ? NULL : (drl_net *)drl__alloc(ctx, total);
    if (!net) return drl__fail(ctx, DRL_E_MEMORY, "drl_net: %d operators do not fit the memory",
                               count.op_count);
    memset(net, 0, total);
    net->ctx = ctx;
    net->desc = count.desc;
    drl__net_place_tables(net, &count, net);
    net->counted = &count;
    build(net, user);
    net->counted = NULL;
    if (net->status == DRL_OK && (net->op_count != count.op_count ||
                                  net->vector_count != count.vector_count ||
                                  net->param_count != count.param_count ||
                                  net->names_size != count.names_size))
        net->status = drl__fail(ctx, DRL_E_ARGUMENT, "drl_net: the build function made %d operators, then "
                                "%d; it must repeat itself", count.op_count, net->op_count);
    if (net->status != DRL_OK) {
        drl_status status = net->status;
        drl__free(ctx, net);
        return status;
    }
    *out = net;
    return DRL_OK;
}

/* The second block of a net: parameters, their gradients, vectors of power iterations, packed weights and
 * arenas. */
static size_t drl__net_place_floats(drl_net *net, void *block)
{
    size_t total = 0, gradients = net->desc.modes >> DRL_NET_PARAM_GRAD & 1;
    net->params = drl__place_floats(block, &total, net->params_size);
    net->grads = gradients ? drl__place_floats(block, &total, net->params_size) : NULL;
    net->state = drl__place_floats(block, &total, net->state_size);
    net->packed = drl__place_floats(block, &total, net->packed_size);
    net->arena = (unsigned char *)drl__place_array(block, &total, net->arenas_bytes, 1);
    return total;
}

/* Compiles the programs of all modes asked for and places their buffers; all sizes are known then. */
static drl_status drl__net_plan(drl_net *net)
{
    int mode, i;
    for (i = 0; i < net->op_count; ++i) {
        const drl__op *op = &net->op[i];
        size_t bytes = sizeof(float);
        if (!drl__mul_fits(bytes, (size_t)op->h, &bytes) || !drl__mul_fits(bytes, (size_t)op->w, &bytes) ||
            !drl__mul_fits(bytes, (size_t)op->c, &bytes) ||
            !drl__mul_fits(bytes, (size_t)net->desc.batch, &bytes) ||
            bytes > (size_t)PTRDIFF_MAX - DRL__ALIGN)
            return drl__fail(net->ctx, DRL_E_SHAPE, "drl_net: %d images of %d x %d x %d do not fit one "
                             "block of this machine's memory, %z bytes; a smaller batch takes less",
                             net->desc.batch, op->h, op->w, op->c, (size_t)PTRDIFF_MAX);
    }
    for (mode = 0; mode < 3; ++mode) {
        drl__program *p = &net->program[mode];
        if (!(net->desc.modes >> mode & 1)) continue;
        p->buffer[DRL__BUFFER_X].first = p->buffer[DRL__BUFFER_DX].first = -1;
        p->buffer_count = 2;
        p->slice = mode == DRL_NET_PARAM_GRAD ? net->desc.batch : drl__net_slice(net);
        drl__compile_forward(net, p, (drl_net_mode)mode);
        if (mode != DRL_NET_FORWARD) drl__compile_backward(net, p, (drl_net_mode)mode);
        DRL_ASSERT((size_t)p->instr_count <= (size_t)net->op_count * drl__instrs_per_op[mode] &&
                   (size_t)p->buffer_count <= (size_t)net->op_count * drl__buffers_per_op[mode] + 2);
        if (mode != DRL_NET_PARAM_GRAD) drl__fuse(net, p);
        drl__lifetimes(p, (drl_net_mode)mode);
        drl__place(p, net->order);
        p->ready = 1;
    }
    net->arenas_bytes = drl__net_arenas(net);
    net->block_bytes = drl__net_place_floats(net, NULL);
    return DRL_OK;
}

static drl_status drl__net_too_large(const drl_net *net)
{
    return drl__fail(net->ctx, DRL_E_MEMORY, "drl_net: %z weights and the buffers of %d operators at a "
                     "batch of %d do not fit one block of this machine's memory, "
                     "%z bytes; a smaller batch takes less", net->params_size, net->op_count, net->desc.batch,
                     (size_t)PTRDIFF_MAX);
}

/* Allocates the second block of a planned net. Parameters are then zero; gains and weights of norms are
 * one. */
static drl_status drl__net_allocate(drl_net *net)
{
    int i;
    if (net->block_bytes == SIZE_MAX) return drl__net_too_large(net);
    net->block = drl__alloc(net->ctx, net->block_bytes);
    if (!net->block) return DRL_E_MEMORY;
    memset(net->block, 0, net->block_bytes);
    drl__net_place_floats(net, net->block);
    for (i = 0; i < net->param_count; ++i)
        if (net->init_scale[i] == DRL__INIT_ONES) {
            size_t k;
            for (k = 0; k < net->param[i].count; ++k) net->params[net->param[i].offset + k] = 1.0f;
        }
    return DRL_OK;
}

DRL__CALL(drl_status, drl_net_size,
    (drl_ctx *ctx, drl_net_build_fn build, void *user, const drl_net_desc *desc, size_t *bytes),
    (ctx, build, user, desc, bytes))
{
    drl_net *net = NULL;
    drl_status status;
    if (!ctx || !build || !bytes) return drl__fail(ctx, DRL_E_ARGUMENT, "drl_net_size: a context, a build "
                                                   "function and a place for the result are needed");
    status = drl__net_build(ctx, build, user, desc, SIZE_MAX, &net);
    if (status != DRL_OK) return status;
    status = drl__net_plan(net);
    if (status == DRL_OK && net->block_bytes == SIZE_MAX) status = drl__net_too_large(net);
    if (status == DRL_OK) *bytes = drl__piece_bytes(net->block_bytes) + ((drl__head *)(void *)net - 1)->bytes;
    drl__free(ctx, net);
    return status;
}

DRL__CALL(drl_status, drl_net_create,
    (drl_ctx *ctx, drl_net_build_fn build, void *user, const drl_net_desc *desc, drl_net **out),
    (ctx, build, user, desc, out))
{
    drl_net *net = NULL;
    drl_status status;
    if (!ctx || !build || !out) return drl__fail(ctx, DRL_E_ARGUMENT, "drl_net_create: a context, a build "
                                                 "function and a place for the result are needed");
    status = drl__net_build(ctx, build, user, desc, SIZE_MAX, &net);
    if (status != DRL_OK) return status;
    status = drl__net_plan(net);
    if (status == DRL_OK) status = drl__net_allocate(net);
    if (status != DRL_OK) {
        drl__free(ctx, net);
        return status;
    }
    *out = net;
    return DRL_OK;
}

DRL_API void drl_net_destroy(drl_net *net)
{
    if (!net) return;
#ifdef DRL__ASAN
    if (net->block) ASAN_UNPOISON_MEMORY_REGION(net->arena, net->arenas_bytes);     /* as it came */
#endif
    drl__free(net->ctx, net->block);
    drl__free(net->ctx, net);
}

/* -----------------------------------------------------------------------------------------------------------
 * [net.params] - first values, spectral norms, packed weights, files.
 * -------------------------------------------------------------------------------------------------------- */
DRL_API int              drl_net_param_count(const drl_net *net) { return net ? net->param_count : 0; }
DRL_API const drl_param *drl_net_param(const drl_net *net, int index)
{ return net && index >= 0 && index < net->param_count ? &net->param[index] : NULL; }
DRL_API float           *drl_net_params(drl_net *net) { return net ? net->params : NULL; }
DRL_API float           *drl_net_grads(drl_net *net) { return net ? net->grads : NULL; }
DRL_API size_t           drl_net_params_size(const drl_net *net) { return net ? net->params_size : 0; }

/* Streams of the library's own draws: the high bits say what for. */
#define DRL__STREAM_INIT  ((uint64_t)1 << 60)
#define DRL__STREAM_TRAIN ((uint64_t)2 << 60)
#define DRL__STREAM_POWER ((uint64_t)3 << 60)

/* The power iterations' vectors begin at random. */
static void drl__net_start(drl_net *net, uint64_t seed)
{
    int i;
    for (i = 0; i < net->op_count; ++i) {
        const drl__op *op = &net->op[i];
        drl_rng rng;
        if (!op->spectral) continue;
        rng.seed = seed; rng.stream = DRL__STREAM_POWER + (uint64_t)i; rng.position = 0;
        drl_rng_normals(net->ctx, &rng, net->state + op->u, (size_t)op->conv.out_channels);
    }
}

/* Weights uniform with variance init_scale / mean(fan-in, fan-out); biases uniform within 1 /
 * sqrt(fan-in), so that the kinks of the ReLUs lie in many places: with zero biases the energy is nearly
 * linear around a flat background, and its slope overshoots before it bends. Gains and norms one, biases
 * of norms zero. */
DRL__CALL_VOID(drl_net_init, (drl_net *net, uint64_t seed), (net, seed))
{
    int i;
    size_t k;
    if (!net) return;
    for (i = 0; i < net->param_count; ++i) {
        const drl_param *p = &net->param[i];
        float *w = net->params + p->offset;
        double area = p->rank == 4 ? p->shape[2] * p->shape[3] : 1, limit = 0;
        drl_rng rng;
        if (p->rank > 1 && net->init_scale[i] > 0)
            limit = sqrt(3.0 * (double)net->init_scale[i] / (0.5 * area * (p->shape[0] + p->shape[1])));
        if (net->init_scale[i] == DRL__INIT_BIAS)
            limit = sqrt((double)net->param[i - 1].shape[0] / (double)net->param[i - 1].count);
        rng.seed = seed; rng.stream = DRL__STREAM_INIT + (uint64_t)i; rng.position = 0;
        for (k = 0; k < p->count; ++k)
            w[k] = net->init_scale[i] == DRL__INIT_ONES ? 1.0f
                 : (float)(limit * (2.0 * (double)drl_rng_uniform(&rng) - 1.0));
    }
    drl__net_start(net, seed);
    drl_net_refresh(net, 15);
}

/* In place of a number of power iterations: */
#define DRL__NORM_KEPT      -1              /* the norm of the state block is taken, to the bit */
#define DRL__NORM_CONVERGED -2              /* until ten iterations raise it by less than 1e-4 of itself */

static void drl__op_shape(const drl_net *net, const drl__op *op, int *rows, int *cols)
{
    *rows = net->param[op->weight].shape[0];
    *cols = (int)(net->param[op->weight].count / (size_t)*rows);
}

static float drl__net_norm(drl_net *net, const drl__op *op, const float *w, int iterations)
{
    float *u = net->state + op->u, *v = net->state + op->v, sigma, last;
    int rows, cols, i;
    drl__op_shape(net, op, &rows, &cols);
    if (iterations == DRL__NORM_KEPT) return net->state[op->norm];
    if (iterations >= 0) return drl__spectral_norm(net->ctx, w, rows, cols, u, v, iterations);
    sigma = drl__spectral_norm(net->ctx, w, rows, cols, u, v, 20);
    for (i = 0; i < 100; ++i) {
        last = sigma;
        sigma = drl__spectral_norm(net->ctx, w, rows, cols, u, v, 10);
        if (!(sigma > last * 1.0001f)) break;
    }
    return sigma;
}

typedef struct drl__prepare_args { drl_net *net; int iterations, jobs; } drl__prepare_args;

/* Norms, scales and packed weights of the layers whose weights begin in job's share of all parameters. */
static void drl__prepare_job(void *arg, int job)
{
    const drl__prepare_args *a = (const drl__prepare_args *)arg;
    drl_net *net = a->net;
    int i;
    for (i = 0; i < net->op_count; ++i) {
        drl__op *op = &net->op[i];
        const float *w;
        uint64_t offset;
        if (op->info != &drl__op_conv2d) continue;
        offset = net->param[op->weight].offset;
        if ((int)(offset * (uint64_t)a->jobs / net->params_size) != job) continue;
        w = net->params + net->param[op->weight].offset;
        if (op->spectral) {
            op->sigma = drl__net_norm(net, op, w, a->iterations);
            /* files have no norm: it is u' W v of the stored vectors, to the bit */
            if (op->keep_norm) op->sigma = drl__net_norm(net, op, w, 0);
            net->state[op->norm] = op->sigma;
            op->normalised = op->sigma > 0 && !(op->spectral == DRL_SPECTRAL_CAP && op->sigma < 1);
        }
        op->weight_scale = op->normalised ? 1.0f / op->sigma : 1.0f;
        drl_conv2d_pack(net->ctx, &op->conv, 0, w, op->weight_scale, net->packed + op->packed);
        if (drl__needs_transposed(net, op)) drl_conv2d_pack(net->ctx, &op->conv, 1, w, op->weight_scale,
                                                            net->packed + op->packed_transposed);
    }
}

static void drl__net_prepare(drl_net *net, int iterations)
{
    drl__prepare_args a;
    a.net = net;
    a.iterations = iterations;
    a.jobs = net->ctx->threads;
    drl__parallel(net->ctx, a.jobs, drl__prepare_job, &a);
    drl__net_forget(net);
}

DRL__CALL_VOID(drl_net_refresh, (drl_net *net, int iterations), (net, iterations))
{
    if (net) drl__net_prepare(net, iterations < 0 ? 0 : iterations);
}

DRL__CALL_VOID(drl_net_spectral_grads, (drl_net *net), (net))
{
    int i;
    if (!net || !net->grads) return;
    for (i = 0; i < net->op_count; ++i) {
        drl__op *op = &net->op[i];
        int rows, cols;
        if (!op->normalised) continue;
        drl__op_shape(net, op, &rows, &cols);
        drl__spectral_norm_grad(net->ctx, net->params + net->param[op->weight].offset, rows, cols,
                                net->state + op->u, net->state + op->v, op->sigma,
                               net->grads + net->param[op->weight].offset);
    }
}

/* Tensor i of a net's file, and where it lies: first the parameters, then the vectors of the power
 * iterations. */
static const drl_param *drl__net_tensor_param(const drl_net *net, int i)
{ return i < net->param_count ? &net->param[i] : &net->vector[i - net->param_count]; }

static float *drl__net_tensor(const drl_net *net, int i, const drl_param **param)
{
    const drl_param *p = *param = drl__net_tensor_param(net, i);
    DRL_ASSERT(p);
    return (i < net->param_count ? net->params : net->state) + p->offset;
}

/* Whether the file has every tensor of the net in its shape; a net that is only planned will do. */
static drl_status drl__net_fits(const drl_net *net, const drl_safetensors *st)
{
    int i, k;
    for (i = 0; i < drl__net_tensors(net); ++i) {
        const drl_param *p;
        const drl_array *a;
        p = drl__net_tensor_param(net, i);
        a = drl_safetensors_find(st, p->name);
        if (!a) return drl__fail(net->ctx, DRL_E_FORMAT, "drl_net_load: the file has no tensor '%s'",
                                 p->name);
        if (a->rank != p->rank) return drl__fail(net->ctx, DRL_E_SHAPE, "drl_net_load: '%s' has %d axes, "
                                                 "the net expects %d", p->name, a->rank, p->rank);
        for (k = 0; k < p->rank; ++k)
            if (a->shape[k] != (size_t)p->shape[k])
                return drl__fail(net->ctx, DRL_E_SHAPE, "drl_net_load: axis %d of '%s' has %z entries, the "
                                 "net expects %d", k, p->name, a->shape[k], p->shape[k]);
    }
    return DRL_OK;
}

/* Reads every tensor; drl__net_fits has found that the file holds them. */
static drl_status drl__net_read(drl_net *net, const drl_safetensors *st)
{
    drl_status status = DRL_OK;
    int i;
    for (i = 0; i < drl__net_tensors(net) && status == DRL_OK; ++i) {
        const drl_param *p;
        float *to = drl__net_tensor(net, i, &p);
        status = drl_array_to_float(net->ctx, drl_safetensors_find(st, p->name), to);
    }
    if (status == DRL_OK) drl_net_refresh(net, 0);
    return status;
}

DRL__CALL(drl_status, drl_net_load, (drl_net *net, const drl_safetensors *st), (net, st))
{
    drl_status status;
    if (!net || !st) return drl__fail(net ? net->ctx : NULL, DRL_E_ARGUMENT, "drl_net_load: a net and an "
                                      "open file are needed");
    status = drl__net_fits(net, st);
    return status == DRL_OK ? drl__net_read(net, st) : status;
}

/* -----------------------------------------------------------------------------------------------------------
 * [net.run] - taking images through a program.
 * -------------------------------------------------------------------------------------------------------- */

typedef struct drl__run {
    drl_net *net;
    const drl__program *p;
    drl_batch batch;                        /* of this slice */
    int first;                              /* where its first image lies in the buffers */
    float *dx;
    unsigned char *arena;
    float *work;
} drl__run;

static float *drl__at(const drl__run *r, int buffer)
{
    if (buffer < 0) return NULL;
    /* read only: no instruction writes it */
    if (buffer == DRL__BUFFER_X) return (float *)(uintptr_t)r->batch.x;
    if (buffer == DRL__BUFFER_DX) return r->dx;
    return (float *)(void *)(r->arena + r->p->buffer[buffer].offset +
                             (size_t)((uint64_t)r->first * r->p->buffer[buffer].bits_each / 8));
}

static drl_tensor drl__view(const drl__run *r, int op, int buffer)
{
    const drl__op *o = &r->net->op[op];
    return drl_tensor_of(drl__at(r, buffer), r->batch.n, o->h, o->w, o->c);
}

static drl__fused drl__fused_of(const drl__run *r, const drl__instr *in)
{
    const drl_net *net = r->net;
    drl__fused f = drl__fused_none();
    f.shift = drl__at(r, in->shift);
    f.add = drl__at(r, in->add);
    if (in->gain >= 0) f.gain = net->params + net->param[net->op[in->gain].weight].offset;
    if (in->act >= 0) f.act = net->op[in->act].act;
    f.scale = net->op[in->op].weight_scale;
    return f;
}

/* What the operator of an instruction is called with. */
static drl__op_call drl__call_of(const drl__run *r, const drl__instr *in)
{
    const drl_net *net = r->net;
    const drl__op *op = &net->op[in->op];
    drl__op_call c;
    memset(&c, 0, sizeof c);
    c.ctx = net->ctx;
    c.op = op;
    if (op->a >= 0) c.a = drl__view(r, op->a, in->a);
    if (op->b >= 0) c.b = drl__view(r, op->b, in->b);
    c.y = drl__view(r, in->op, in->code == DRL__RUN ? in->y : -1);
    c.dy = drl__view(r, in->op, in->dy);
    if (in->code == DRL__DX) c.dx = drl__view(r, in->operand ? op->b : op->a, in->y);
    if (in->code == DRL__SUMS) c.sums = drl__at(r, in->y);
    if (in->code == DRL__DW) c.dweight = net->grads + net->param[op->weight].offset;
    c.accumulate = in->accumulate;
    if (op->weight >= 0) c.weight = net->params + net->param[op->weight].offset;
    if (op->bias >= 0) c.bias = net->params + net->param[op->bias].offset;
    c.packed = net->packed;
    if (op->conv.winograd) c.fused = drl__fused_of(r, in);
    c.extra = drl__at(r, in->extra);
    c.work = r->work;
    c.batch = &r->batch;
    c.first = r->first;
    c.number = in->op;
    return c;
}

/* Adds each image's part of the gradients by parameters with an entry per channel. */
static void drl__run_add_sums(const drl__run *r, const drl__instr *in)
{
    drl_net *net = r->net;
    const drl__op *op = &net->op[in->op];
    int first, k, vectors = drl__op_vectors(op, &first);
    size_t i, c = (size_t)op->c;
    drl__columns(net->ctx, drl__at(r, in->a), NULL, NULL, 1, (size_t)r->batch.n, (size_t)vectors * c, 1,
                 r->work, 0);
    for (k = 0; k < vectors; ++k) {
        float *grad = net->grads + net->param[first + k].offset;
        for (i = 0; i < c; ++i) grad[i] += r->work[(size_t)k * c + i];
    }
}

#ifdef DRL__ASAN
static void drl__arena_guard(const drl__run *r)
{
    int i;
    ASAN_UNPOISON_MEMORY_REGION(r->arena, (size_t)((unsigned char *)r->work - r->arena));
    for (i = 2; i < r->p->buffer_count; ++i) {
        const drl__buffer *b = &r->p->buffer[i];
        size_t used = (size_t)((b->bits_each * (uint64_t)r->batch.n + 7) / 8);
        if (b->first >= 0) ASAN_POISON_MEMORY_REGION(r->arena + b->offset + used, b->bytes - used +
                                                     DRL__ALIGN);
    }
}
#endif

/* Forgets the gaps that an earlier run has marked. */
static void drl__arena_open(drl_net *net)
{
#ifdef DRL__ASAN
    ASAN_UNPOISON_MEMORY_REGION(net->arena, net->arenas_bytes);
#else
    (void)net;
#endif
}

static size_t drl__out_size(const drl_net *net)
{
    const drl__op *last = &net->op[net->op_count - 1];
    return (size_t)last->h * (size_t)last->w * (size_t)last->c;
}

static size_t drl__in_size(const drl_net *net)
{ return (size_t)net->op[0].h * (size_t)net->op[0].w * (size_t)net->op[0].c; }

DRL_API drl_batch drl_batch_of(int n, const float *x, const float *level)
{
    drl_batch b;
    memset(&b, 0, sizeof b);
    b.n = n;
    b.x = x;
    b.level = level;
    return b;
}

static drl__run drl__run_of(drl_net *net, drl_net_mode mode, const drl_batch *batch, unsigned char *arena)
{
    drl__run r;
    memset(&r, 0, sizeof r);
    r.net = net;
    r.p = &net->program[mode];
    r.batch = *batch;
    if (mode != DRL_NET_PARAM_GRAD) r.batch.dropout = NULL;
    r.arena = arena;
    r.work = (float *)(void *)(arena + (mode == DRL_NET_PARAM_GRAD ? r.p->arena : net->sliced_bytes));
    return r;
}

/* Images [first, first + n) of a run. */
static drl__run drl__run_part(const drl__run *whole, int first, int n)
{
    drl__run r = *whole;
    r.batch.n = n;
    r.batch.x += (size_t)first * drl__in_size(r.net);
    if (r.dx) r.dx += (size_t)first * drl__in_size(r.net);
    if (r.batch.level) r.batch.level += first;
    if (r.batch.label) r.batch.label += first;
    return r;
}

static void drl__run_instrs(const drl__run *r, int from, int to)
{
    for (; from < to; ++from) {
        const drl__instr *in = &r->p->instr[from];
        const drl__op_info *info = r->net->op[in->op].info;
        const drl__op_call c = drl__call_of(r, in);
        switch (in->code) {
        case DRL__RUN:      info->forward(&c); break;
        case DRL__DX:       info->input_grad(&c, in->operand); break;
        case DRL__COPY:     drl__copy(c.ctx, drl_tensor_count(&c.y), drl__at(r, in->a), drl__at(r, in->y),
                                      in->accumulate); break;
        case DRL__SUMS:     info->param_sums(&c); break;
        case DRL__ADD_SUMS: drl__run_add_sums(r, in); break;
        case DRL__DW:       info->param_grad(&c); break;
        }
    }
}

static void drl__run_out(const drl__run *r, float *out)
{
    if (out) memcpy(out, drl__at(r, r->p->out), (size_t)r->batch.n * drl__out_size(r->net) * sizeof(float));
}

static void drl__run_dout(const drl__run *r, const float *dout)
{
    memcpy(drl__at(r, r->p->dout), dout, (size_t)r->batch.n * drl__out_size(r->net) * sizeof(float));
    if (r->dx && r->p->buffer[DRL__BUFFER_DX].first < 0)        /* the output does not depend on the images */
        memset(r->dx, 0, (size_t)r->batch.n * drl__in_size(r->net) * sizeof(float));
}

/* How many jobs share a batch; one where each operator is split instead. */
static int drl__run_jobs(const drl_net *net, int n)
{ return n * 2 < net->ctx->threads ? 1 : drl__min(net->ctx->threads, n); }

typedef struct drl__images_args {
    drl__run run;
    const float *dout;
    float *out;
    /* jobs begin at multiples of `grain` images and take `slice` at a time */
    int jobs, slice, grain;
    /* the instructions; shared: images keep their places in one arena, as in training */
    int from, to, shared;
} drl__images_args;

/* Job j takes its share of the images through instructions [from, to), a slice at a time; with an arena of
 * its own also through the output and, where a gradient is asked for, back. */
static void drl__images_job(void *arg, int job)
{
    drl__images_args *a = (drl__images_args *)arg;
    drl__run own = a->run;
    const drl__program *p = own.p;
    size_t out = drl__out_size(own.net), step = a->shared ? 0 : own.net->arena_step;
    int grains = (own.batch.n + a->grain - 1) / a->grain, n;
    int first = (int)((int64_t)grains * job / a->jobs) * a->grain,
        end = drl__min((int)((int64_t)grains * (job + 1) / a->jobs) * a->grain, own.batch.n);
    own.arena += (size_t)job * step;
    own.work += (size_t)job * (a->shared ? own.net->work_one : step / sizeof(float));
    for (; first < end; first += n) {
        drl__run r;
        n = drl__min(a->slice, end - first);
        r = drl__run_part(&own, first, n);
        if (a->shared) r.first = first;
#ifdef DRL__ASAN
        if (!a->shared) drl__arena_guard(&r);
#endif
        drl__run_instrs(&r, a->from, a->to);
        if (a->shared) continue;
        drl__run_out(&r, a->out ? a->out + (size_t)first * out : NULL);
        if (!r.dx) continue;
        drl__run_dout(&r, a->dout + (size_t)first * out);
        drl__run_instrs(&r, a->to, p->instr_count);
    }
}

/* Instructions [from, to) of the training program. Those by parameters sum over all images, and their
 * operators are split; the stretches between them are not, so that threads wait for each other less often
 * and find in their caches what they have just written. */
static void drl__run_training(const drl__run *r, int from, int to)
{
    drl__images_args a;
    int i;
    memset(&a, 0, sizeof a);
    a.run = *r;
    a.shared = a.grain = 1;
    for (i = 2; i < r->p->buffer_count; ++i) if (r->p->buffer[i].bits_each % 8) a.grain = 8;
    a.slice = (int)drl__round_up((size_t)drl__net_slice(r->net), (size_t)a.grain);
    a.jobs = drl__min(drl__run_jobs(r->net, r->batch.n), (r->batch.n + a.grain - 1) / a.grain);
    for (; from < to; from = a.to) {
        if (drl__whole_batch(&r->p->instr[from])) {
            a.to = from + 1;
            drl__run_instrs(r, from, a.to);
            continue;
        }
        for (a.from = a.to = from; a.to < to && !drl__whole_batch(&r->p->instr[a.to]); ++a.to) {}
        drl__parallel(r->net->ctx, a.jobs, drl__images_job, &a);
    }
}

/* Common to all runs: what is asked for was planned. */
static drl_status drl__batch_check(drl_net *net, const char *function, drl_net_mode mode,
    const drl_batch *batch)
{
    int i;
    if (!net || !batch || drl__bad_floats(batch->x) || drl__misaligned(batch->level))
        return drl__fail(net ? net->ctx : NULL, DRL_E_ARGUMENT, "%s: a net and images are needed, aligned "
                         "as floats are", function);
    if (!net->program[mode].ready) return drl__fail(net->ctx, DRL_E_ARGUMENT, "%s: the net was not planned "
                                                    "for mode %d", function, (int)mode);
    if (batch->n < 1 || batch->n > net->desc.batch)
        return drl__fail(net->ctx, DRL_E_ARGUMENT, "%s: %d images; 1 to %d were planned", function, batch->n,
                         net->desc.batch);
    if (net->has_level && !batch->level) return drl__fail(net->ctx, DRL_E_ARGUMENT, "%s: the net takes "
                                                          "level values, none were given", function);
    for (i = 0; net->classes && batch->label && i < batch->n; ++i)
        if (batch->label[i] < 0 || batch->label[i] > net->classes)
            return drl__fail(net->ctx, DRL_E_ARGUMENT, "%s: label %d of image %d; 0 to %d are possible",
                             function, batch->label[i], i, net->classes);
    return DRL_OK;
}

/* For all images of a batch, each job with an arena of its own. */
static drl__images_args drl__net_args(drl_net *net, drl_net_mode mode, const drl_batch *batch)
{
    drl__images_args a;
    memset(&a, 0, sizeof a);
    a.run = drl__run_of(net, mode, batch, net->arena);
    a.slice = net->program[mode].slice;
    a.jobs = drl__run_jobs(net, batch->n);
    a.grain = 1;
    a.to = net->program[mode].forward_count;
    return a;
}

static void drl__net_slices(drl_net *net, drl_net_mode mode, const drl_batch *batch, const float *dout,
    float *out, float *dx)
{
    drl__images_args a = drl__net_args(net, mode, batch);
    a.run.dx = dx;
    a.dout = dout;
    a.out = out;
    drl__net_forget(net);
    drl__arena_open(net);
    drl__parallel(net->ctx, a.jobs, drl__images_job, &a);
}

DRL__CALL(drl_status, drl_net_forward, (drl_net *net, const drl_batch *batch, float *out), (net, batch, out))
{
    drl_status status = drl__batch_check(net, "drl_net_forward", DRL_NET_FORWARD, batch);
    if (status == DRL_OK && drl__bad_floats(out)) status = drl__fail(net->ctx, DRL_E_ARGUMENT,
        "drl_net_forward: no place for the result, or a misaligned one");
    if (status == DRL_OK) drl__net_slices(net, DRL_NET_FORWARD, batch, NULL, out, NULL);
    return status;
}

/* drl_net_forward for a proposal: see drl__until. It runs in one piece when it is not the proposal's first
 * network, when the arena no longer holds where it stopped, and when a job has several slices, as the second
 * one takes the places of the first one's activations. */
static drl_status drl__net_forward_until(drl_net *net, const drl_batch *batch, float *out)
{
    drl__until *until = &net->ctx->until;
    drl__images_args a;
    int end, at = 0;
    drl_status status = drl__batch_check(net, "drl_net_forward", DRL_NET_FORWARD, batch);
    if (status != DRL_OK) return status;
    a = drl__net_args(net, DRL_NET_FORWARD, batch);
    end = a.to;
    if (!until->proposal || until->runs++ || end < 1 || (batch->n + a.jobs - 1) / a.jobs > a.slice ||
        (until->goes_on && net->stopped != until->proposal)) return drl_net_forward(net, batch, out);
    if (until->goes_on) at = net->stopped_at;
    drl__net_forget(net);
    drl__arena_open(net);
    do {
        a.from = at;
        a.to = ++at;
        if (at == end) a.out = out;
        drl__parallel(net->ctx, a.jobs, drl__images_job, &a);
        if (at == end) return DRL_OK;
    } while (until->clock(until->user) < until->end);
    net->stopped = until->proposal;
    net->stopped_at = at;
    return DRL_RUNNING;
}

DRL__CALL(drl_status, drl_net_input_grad,
    (drl_net *net, const drl_batch *batch, const float *dout, float *out, float *dx),
    (net, batch, dout, out, dx))
{
    drl_status status = drl__batch_check(net, "drl_net_input_grad", DRL_NET_INPUT_GRAD, batch);
    if (status == DRL_OK && (drl__bad_floats(dout) || drl__bad_floats(dx) || drl__misaligned(out)))
        status = drl__fail(net->ctx, DRL_E_ARGUMENT, "drl_net_input_grad: no gradient by the output, or no "
                           "place for that by the images");
    if (status == DRL_OK) drl__net_slices(net, DRL_NET_INPUT_GRAD, batch, dout, out, dx);
    return status;
}

DRL__CALL(drl_status, drl_net_train_forward,
    (drl_net *net, const drl_batch *batch, float *out),
    (net, batch, out))
{
    drl_status status = drl__batch_check(net, "drl_net_train_forward", DRL_NET_PARAM_GRAD, batch);
    drl__run r;
    if (status == DRL_OK && drl__bad_floats(out)) status = drl__fail(net->ctx, DRL_E_ARGUMENT,
        "drl_net_train_forward: no place for the result, or a misaligned one");
    if (status != DRL_OK) return status;
    drl__net_forget(net);
    drl__arena_open(net);
    r = drl__run_of(net, DRL_NET_PARAM_GRAD, batch, net->arena);
#ifdef DRL__ASAN
    drl__arena_guard(&r);
#endif
    drl__run_training(&r, 0, r.p->forward_count);
    drl__run_out(&r, out);
    net->trained = *batch;
    return DRL_OK;
}

DRL__CALL(drl_status, drl_net_train_backward, (drl_net *net, const float *dout), (net, dout))
{
    drl__run r;
    if (!net || drl__bad_floats(dout)) return drl__fail(net ? net->ctx : NULL, DRL_E_ARGUMENT,
                                                       "drl_net_train_backward: a net and the gradient by "
                                                           "its output are needed, aligned as floats are");
    if (!net->trained.n) return drl__fail(net->ctx, DRL_E_ARGUMENT, "drl_net_train_backward: no "
                                          "drl_net_train_forward came before, or the weights have changed "
                                              "since");
    r = drl__run_of(net, DRL_NET_PARAM_GRAD, &net->trained, net->arena);
    net->trained.n = 0;
    drl__run_dout(&r, dout);
    drl__run_training(&r, r.p->forward_count, r.p->instr_count);
    return DRL_OK;
}

/* -----------------------------------------------------------------------------------------------------------
 * [describe] - each description has one table, a row for each field: its type, what zero means, and which
 * values are possible. From the table come defaults, the sentence about a value that is not possible, and the
 * line of text in files, "height=32 width=32 ...". Numbers survive the trip bit for bit.
 * -------------------------------------------------------------------------------------------------------- */
typedef enum drl__field_type {              /* the first two are asked for by <= DRL__ENUM */
    DRL__INT, DRL__ENUM, DRL__U64, DRL__FLOAT, DRL__DOUBLE, DRL__MULT
} drl__field_type;

/* How low and high are meant; rules add up. */
#define DRL__ANY     1                      /* every value is possible */
#define DRL__EVEN    2
#define DRL__OPEN    4                      /* neither low nor high itself is possible */
#define DRL__NONE    8                      /* values below zero stand for "none", and are possible too */
#define DRL__NO_HIGH 16                     /* high itself is not possible */
#define DRL__FINITE  3.5e38                 /* as high (and -low): every finite float */

typedef struct drl__field {
    const char *name;
    drl__field_type type;
    uint32_t offset;                        /* in the description; 4 bytes, so that a row has no hole */
    double zero;                            /* what 0 means; 0: itself, or other fields decide */
    double low, high;
    int rules;
} drl__field;

#define DRL__DESCRIBE_MAX 1024

/* The value of a hexadecimal digit, -1 for another character. */
static int drl__hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* 'x' and 16 hexadecimal digits are the bits of a double. */
static const char *drl__parse_bits(const char *s, double *value)
{
    uint64_t bits = 0;
    int digits;
    for (++s, digits = 0; digits < 16; ++s, ++digits) {
        int h = drl__hex_digit(*s);
        if (h < 0) return NULL;
        bits = bits << 4 | (unsigned)h;
    }
    memcpy(value, &bits, 8);
    return s;
}

/* Reads a decimal number, or drl__parse_bits' form. A decimal number has at most 15 digits and a power of ten
 * up to 22: it is an exact integer times or over an exact power, so it is rounded once. Returns where the
 * number ends, NULL when there is none. */
static const char *drl__parse_number(const char *s, double *value)
{
    uint64_t m = 0;
    int exponent = 0, digits = 0, negative = *s == '-', e = 0, e_negative;
    double power = 1, v;
    if (*s == 'x') return drl__parse_bits(s, value);
    if (negative) ++s;
    for (; *s >= '0' && *s <= '9'; ++s, ++digits) m = m * 10 + (uint64_t)(*s - '0');
    if (!digits) return NULL;
    if (*s == '.')
        for (++s; *s >= '0' && *s <= '9'; ++s, ++digits, --exponent) m = m * 10 + (uint64_t)(*s - '0');
    if (digits > 15) return NULL;
    if (*s == 'e') {
        e_negative = *++s == '-';
        if (e_negative) ++s;
        if (*s < '0' || *s > '9') return NULL;
        for (; *s >= '0' && *s <= '9' && e < 100; ++s) e = e * 10 + (*s - '0');
        exponent += e_negative ? -e : e;
    }
    if (exponent > 22 || exponent < -22) return NULL;
    for (e = exponent < 0 ? -exponent : exponent; e; --e) power *= 10;
    v = exponent < 0 ? (double)m / power : (double)m * power;
    *value = negative ? -v : v;
    return s;
}

/* The shortest text that drl__parse_number reads as v: "%g" where it will do, else v's bits. */
static void drl__number_text(char *text, size_t capacity, double v)
{
    double back = 0;
    const char *end;
    drl__text(text, capacity, "%g", v);
    end = drl__parse_number(text, &back);
    if (!end || *end || back != v) {
        uint64_t bits;
        int i;
        memcpy(&bits, &v, 8);
        text[0] = 'x';
        for (i = 0; i < 16; ++i) text[1 + i] = "0123456789abcdef"[bits >> (60 - 4 * i) & 15];
        text[17] = 0;
    }
}

/* The text of a float: "%g" where it rounds to the same float. */
static void drl__float_text(char *text, size_t capacity, float v)
{
    double back = 0;
    const char *end;
    drl__text(text, capacity, "%g", (double)v);
    end = drl__parse_number(text, &back);
    if (!end || *end || (float)back != v) drl__number_text(text, capacity, (double)v);
}

/* Whether an enumeration is a byte: as short as its values allow, by the rule of bare-metal ARM or with
 * -fshort-enums. Those that fields hold have few values, so all are as long as this one. */
#define DRL__ENUM_IS_BYTE (sizeof(drl_form) == 1)

static int drl__int_at(const drl__field *field, const unsigned char *p)
{
    int v;
    if (field->type == DRL__ENUM && DRL__ENUM_IS_BYTE) return *p;
    memcpy(&v, p, sizeof v);
    return v;
}

/* 0: the field has no room for v, and holds another value. */
static int drl__int_set(const drl__field *field, unsigned char *p, int v)
{
    if (field->type == DRL__ENUM && DRL__ENUM_IS_BYTE) return (*p = (unsigned char)v) == v;
    memcpy(p, &v, sizeof v);
    return 1;
}

static double drl__field_value(const drl__field *field, const void *desc)
{
    const unsigned char *p = (const unsigned char *)desc + field->offset;
    switch (field->type) {
    case DRL__U64:    { uint64_t v; memcpy(&v, p, sizeof v); return (double)v; }
    case DRL__FLOAT:  { float v;    memcpy(&v, p, sizeof v); return (double)v; }
    case DRL__DOUBLE: { double v;   memcpy(&v, p, sizeof v); return v; }
    default:          return (double)drl__int_at(field, p);
    }
}

/* Sets a field that is an int, an enumeration, a float or a double. */
static void drl__field_set(const drl__field *field, void *desc, double v)
{
    unsigned char *p = (unsigned char *)desc + field->offset;
    if (field->type <= DRL__ENUM)       drl__int_set(field, p, (int)v);
    else if (field->type == DRL__FLOAT) { float f = (float)v; memcpy(p, &f, sizeof f); }
    else memcpy(p, &v, sizeof v);
}

/* Zeros become what they mean. */
static void drl__defaults(const drl__field *field, size_t fields, void *desc)
{
    size_t i;
    for (i = 0; i < fields; ++i)
        if (field[i].zero != 0 && drl__field_value(&field[i], desc) == 0)
            drl__field_set(&field[i], desc, field[i].zero);
}

static void drl__bound_text(const drl__field *field, double v, char *text, size_t capacity)
{
    if (field->type <= DRL__ENUM) drl__text(text, capacity, "%d", (int)v);
    else drl__text(text, capacity, "%g", v);
}

static int drl__field_possible(const drl__field *field, double v)
{
    if (field->rules & DRL__ANY) return 1;
    if (field->rules & DRL__NONE && v < 0) return 1;
    if (!(v >= field->low && v <= field->high)) return 0;
    if (field->rules & DRL__OPEN && (v == field->low || v == field->high)) return 0;
    if (field->rules & DRL__NO_HIGH && v == field->high) return 0;
    return !(field->rules & DRL__EVEN && (int)v % 2);
}

/* Fails with the first field whose value is not possible:
 * "model: base is 3; 4 to 65536 are possible, and even". */
static drl_status drl__check(drl_ctx *ctx, drl_status bad, const char *who,
                             const drl__field *field, size_t fields, const void *desc)
{
    for (; fields; ++field, --fields) {
        double v = drl__field_value(field, desc);
        char value[32], low[32], high[32];
        if (drl__field_possible(field, v)) continue;
        drl__bound_text(field, v, value, sizeof value);
        drl__bound_text(field, field->low, low, sizeof low);
        drl__bound_text(field, field->high, high, sizeof high);
        if (field->rules & DRL__OPEN)
            return drl__fail(ctx, bad, "%s: %s is %s; it has to be above %s and below %s",
                             who, field->name, value, low, high);
        return drl__fail(ctx, bad, "%s: %s is %s; %s to %s%s are possible%s%s", who, field->name, value, low,
                         field->rules & DRL__NO_HIGH ? "below " : "", high,
                         field->rules & DRL__EVEN ? ", and even" : "",
                         field->rules & DRL__NONE ? ", or less than 0 for none" : "");
    }
    return DRL_OK;
}

/* Appends the text of one field, without its name. */
static void drl__describe_field(const drl__field *field, const void *desc,
                                char *text, size_t capacity, size_t *at)
{
    const unsigned char *p = (const unsigned char *)desc + field->offset;
    int values = field->type == DRL__MULT ? DRL_RESOLUTIONS_MAX : 1, j;
    for (j = 0; j < values; ++j) {
        char number[32];
        if (field->type == DRL__U64) {
            uint64_t v;
            memcpy(&v, p, sizeof v);
            drl__text(number, sizeof number, "%u", v);
        } else if (field->type == DRL__FLOAT) {
            drl__float_text(number, sizeof number, (float)drl__field_value(field, desc));
        } else if (field->type == DRL__DOUBLE) {
            drl__number_text(number, sizeof number, drl__field_value(field, desc));
        } else {
            drl__text(number, sizeof number, j ? ",%d" : "%d",
                      drl__int_at(field, p + (size_t)j * sizeof(int)));
        }
        drl__text_append(text, capacity, at, number, strlen(number));
    }
}

static void drl__describe(const drl__field *field, size_t fields, const void *desc,
                          char *text, size_t capacity)
{
    size_t i, at = 0;
    text[0] = 0;
    for (i = 0; i < fields; ++i) {
        drl__text_append(text, capacity, &at, " ", i ? 1 : 0);
        drl__text_append(text, capacity, &at, field[i].name, strlen(field[i].name));
        drl__text_append(text, capacity, &at, "=", 1);
        drl__describe_field(&field[i], desc, text, capacity, &at);
    }
}

/* Reads a field of 64 bits. Returns where the text of the number ends, NULL when it is none. */
static const char *drl__undescribe_u64(const char *text, void *to)
{
    uint64_t u = 0;
    const char *begin = text;
    for (; *text >= '0' && *text <= '9'; ++text) {
        uint64_t digit = (uint64_t)(*text - '0');
        if (u > (UINT64_MAX - digit) / 10) return NULL;
        u = u * 10 + digit;
    }
    if (text == begin) return NULL;
    memcpy(to, &u, sizeof u);
    return text;
}

/* Reads the value, or the values, of one field into desc. Returns where the text ends, NULL when it is no
 * value of the field's type. */
static const char *drl__undescribe_field(const drl__field *field, const char *text, void *desc)
{
    const double float_max = 3.4028234663852886e38, int_max = 2147483647.0;
    unsigned char *p = (unsigned char *)desc + field->offset;
    int values = field->type == DRL__MULT ? DRL_RESOLUTIONS_MAX : 1, j;
    if (field->type == DRL__U64) return drl__undescribe_u64(text, p);
    for (j = 0; j < values; ++j) {
        double v;
        int k;
        if (j && *text++ != ',') return NULL;
        text = drl__parse_number(text, &v);
        if (!text || !(v - v == 0)) return NULL;
        if (field->type == DRL__FLOAT && (v > float_max || v < -float_max)) return NULL;
        if (field->type == DRL__FLOAT || field->type == DRL__DOUBLE) {
            drl__field_set(field, desc, v);
            continue;
        }
        if (v < -int_max || v > int_max) return NULL;
        k = (int)v;
        if (k != v) return NULL;
        if (!drl__int_set(field, p + (size_t)j * sizeof k, k)) return NULL;
    }
    return text;
}

/* Reads a line of text that holds every field once, in any order, and nothing else. Returns 0 when it does
 * not; desc is then filled in part. */
static int drl__undescribe(const drl__field *field, size_t fields, const char *text, void *desc)
{
    uint32_t seen = 0;
    DRL_ASSERT(fields < 32);
    while (*text) {
        size_t i, length = 0;
        for (i = 0; i < fields; ++i) {
            length = strlen(field[i].name);
            if (!strncmp(text, field[i].name, length) && text[length] == '=') break;
        }
        if (i == fields || seen >> i & 1) return 0;
        seen |= (uint32_t)1 << i;
        text = drl__undescribe_field(&field[i], text + length + 1, desc);
        if (!text) return 0;
        if (*text == ' ' && text[1]) ++text;
        else if (*text) return 0;
    }
    return seen == ((uint32_t)1 << fields) - 1;
}

/* -----------------------------------------------------------------------------------------------------------
 * [schedule.impl] - nothing but + - * /, square roots and the functions of [elementary]: every machine
 * computes the same bits.
 * -------------------------------------------------------------------------------------------------------- */

/* Points the schedule's arrays into memory. The caller fills them through row: a, s, abar, sbar, logsnr. Only
 * the schedules of [Zhu24] have memory for the last one; elsewhere nothing is written there. */
static drl_status drl__schedule_place(int levels, double *memory, drl_schedule *schedule, double b2,
                                      double *row[5])
{
    int i;
    if (!memory || !schedule) return DRL_E_ARGUMENT;
    for (i = 0; i < 5; ++i) row[i] = memory + i * (levels + 1);
    schedule->levels = levels;
    schedule->a = row[0];
    schedule->s = row[1];
    schedule->abar = row[2];
    schedule->sbar = row[3];
    schedule->logsnr = NULL;
    schedule->rule = DRL_STEP_PUBLISHED;
    schedule->b2 = b2;
    return DRL_OK;
}

/* The linear schedule has 1000 betas, beta_j = 1e-4 + (0.02 - 1e-4) j / 999. Step i covers some of them:
 *   a_i^2 = product of (1 - beta_j)
 * Step 0 covers beta 0 alone, steps 1 to T - 1 equal parts of the first half of the betas, and step T all the
 * rest [Gao21] A.1. With `whole`, steps 1 to T - 1 share out all the betas, and step T leaves no signal:
 * a_T = 0. */
static void drl__schedule_linear(int levels, int whole, double *row[5])
{
    double *a = row[0], *s = row[1], *abar = row[2], *sbar = row[3];
    int i, j, first = 0;
    for (i = 0; i <= levels; ++i) {
        int last;
        if (i == levels) last = 999;
        else if (whole) last = i * 999 / (levels - 1);
        else last = i * (1000 / (2 * (levels - 1)));
        a[i] = whole && i == levels ? 0.0 : 1.0;
        for (j = first; j <= last; ++j) {
            double beta = 1e-4 + (0.02 - 1e-4) * j / 999.0;
            a[i] *= sqrt(1.0 - beta);
        }
        first = last + 1;
        s[i] = sqrt(1.0 - a[i] * a[i]);
        abar[i] = i ? abar[i - 1] * a[i] : a[i];
        sbar[i] = sqrt(1.0 - abar[i] * abar[i]);
    }
}

static drl_status drl__schedule_drl(int levels, double *memory, drl_schedule *schedule)
{
    double *row[5];
    if (levels < 2 || levels > 500) return DRL_E_ARGUMENT;
    if (drl__schedule_place(levels, memory, schedule, 2e-4, row) != DRL_OK) return DRL_E_ARGUMENT;
    drl__schedule_linear(levels, 0, row);
    return DRL_OK;
}

static drl_status drl__schedule_t1k(int levels, double *memory, drl_schedule *schedule)
{
    double *row[5];
    if (levels < 2 || levels > 1000) return DRL_E_ARGUMENT;
    if (drl__schedule_place(levels, memory, schedule, 0.1, row) != DRL_OK) return DRL_E_ARGUMENT;
    drl__schedule_linear(levels, 1, row);
    schedule->rule = DRL_STEP_DIFFUSION;
    return DRL_OK;
}

/* Rounds to float. Storing and loading it drops the digits that some processors keep of a result. */
static float drl__rounded(double x) { volatile float f = (float)x; return f; }

/* The cosine schedule, with `shift` less log-SNR on levels 1 to T:                                    [Zhu24]
 *   l_t = -2 log tan(span t / T + low),  low = atan(exp(-9.8 / 2)),  low + span = atan(exp(5.1 / 2))
 *   abar_t^2 = 1 / (1 + exp(-l_t)),  sbar_t^2 = 1 / (1 + exp(l_t))
 * l_t is rounded to float at every operation, as in the published code. */
static drl_status drl__schedule_cosine(int levels, float shift, double *memory, drl_schedule *schedule)
{
    const double low = drl__atan(drl__exp(-0.5 * 9.8)), span = drl__atan(drl__exp(0.5 * 5.1)) - low;
    double *row[5], *a, *s, *abar, *sbar, *logsnr;
    int i;
    if (levels < 2 || levels > 500) return DRL_E_ARGUMENT;
    if (drl__schedule_place(levels, memory, schedule, 4e-4, row) != DRL_OK) return DRL_E_ARGUMENT;
    a = row[0];
    s = row[1];
    abar = row[2];
    sbar = row[3];
    schedule->logsnr = logsnr = row[4];
    for (i = 0; i <= levels; ++i) {
        float u = drl__rounded((double)i / levels);
        float scaled = drl__rounded((double)(float)span * (double)u);
        float angle = drl__rounded((double)scaled + (double)(float)low);
        float tangent = drl__rounded(drl__tan((double)angle));
        float l = -2 * drl__rounded(drl__log((double)tangent));
        if (i) l = drl__rounded((double)l - (double)shift);
        logsnr[i] = (double)l;
        abar[i] = sqrt(1 / (1 + drl__exp(-(double)l)));
        sbar[i] = sqrt(1 / (1 + drl__exp((double)l)));
        a[i] = i ? abar[i] / abar[i - 1] : abar[0];
        s[i] = sqrt(1 - a[i] * a[i]);
    }
    return DRL_OK;
}

static drl_status drl__schedule_cdrl(int levels, double *memory, drl_schedule *schedule)
{
    return drl__schedule_cosine(levels, 0.0f, memory, schedule);
}

static drl_status drl__schedule_shifted(int levels, double *memory, drl_schedule *schedule)
{
    return drl__schedule_cosine(levels, (float)DRL_SCHEDULE_SHIFT, memory, schedule);
}

DRL__CALL(drl_status, drl_schedule_of,
    (const double *sbar, int levels, double b2, double *memory, drl_schedule *schedule),
    (sbar, levels, b2, memory, schedule))
{
    double *row[5], *a, *s, *abar;
    int i;
    if (!sbar || levels < 1 || levels > 1000) return DRL_E_ARGUMENT;
    if (!(b2 > 0) || !drl__finite(b2)) return DRL_E_ARGUMENT;
    for (i = 0; i <= levels; ++i)
        if (!(sbar[i] > (i ? sbar[i - 1] : 0.0) && sbar[i] <= 1)) return DRL_E_ARGUMENT;
    if (drl__schedule_place(levels, memory, schedule, b2, row) != DRL_OK) return DRL_E_ARGUMENT;
    a = row[0];
    s = row[1];
    abar = row[2];
    /* differences of squares as products: s^2 = 1 - a^2 would keep few digits where levels are close */
    for (i = 0; i <= levels; ++i) {
        double sbar_before = i ? sbar[i - 1] : 0.0, abar_before = i ? abar[i - 1] : 1.0;
        abar[i] = sqrt((1.0 - sbar[i]) * (1.0 + sbar[i]));
        a[i] = abar[i] / abar_before;
        s[i] = sqrt((sbar[i] - sbar_before) * (sbar[i] + sbar_before)) / abar_before;
        row[3][i] = sbar[i];
    }
    return DRL_OK;
}

/* Whether the schedule has its arrays and the level: 0 to T - 1, and with above = 1 also T, that of x_T. */
static int drl__schedule_has(const drl_schedule *schedule, int level, int above)
{
    return schedule &&
           schedule->levels >= 1 &&
           schedule->a &&
           schedule->s &&
           schedule->abar &&
           schedule->sbar &&
           level >= 0 &&
           level - above < schedule->levels;
}

static drl_status drl__schedule_check(drl_ctx *ctx, const char *who, const drl_schedule *schedule)
{
    static const char *const names[4] = { "a", "s", "abar", "sbar" };
    const double *array[4];
    int i, k;
    array[0] = schedule->a;
    array[1] = schedule->s;
    array[2] = schedule->abar;
    array[3] = schedule->sbar;
    if (drl__at_least(ctx, who, "the schedule's number of levels", schedule->levels, 1) != DRL_OK)
        return DRL_E_ARGUMENT;
    if (!(schedule->b2 > 0) || !drl__finite(schedule->b2))
        return drl__fail(ctx, DRL_E_ARGUMENT, "%s: the schedule's b2 is %g; it has to be above 0 and finite",
                         who, schedule->b2);
    for (k = 0; k < 4; ++k) {
        if (!array[k])
            return drl__fail(ctx, DRL_E_ARGUMENT, "%s: the schedule's array %s is missing", who, names[k]);
        for (i = 0; i <= schedule->levels; ++i)
            if (!drl__finite(array[k][i]))
                return drl__fail(ctx, DRL_E_ARGUMENT, "%s: the schedule's %s[%d] is %g; it has to be finite",
                                 who, names[k], i, array[k][i]);
    }
    return DRL_OK;
}

DRL__CALL(double, drl_schedule_scale, (const drl_schedule *schedule, int level), (schedule, level))
{
    if (!drl__schedule_has(schedule, level, 0)) return 0;
    return level + 1 < schedule->levels ? schedule->a[level + 1] : 1.0;
}

/* x_u = a x_t + s eps for levels t < u <= T: the a and s of the schedule if u = t + 1, else those of all
 * steps between the two. */
static double drl__schedule_a(const drl_schedule *schedule, int t, int u)
{
    return u == t + 1 ? schedule->a[u] : schedule->abar[u] / schedule->abar[t];
}

static double drl__schedule_s(const drl_schedule *schedule, int t, int u)
{
    double a = drl__schedule_a(schedule, t, u);
    return u == t + 1 ? schedule->s[u] : sqrt(1 - a * a);
}

/* Standard deviation of the noise that is added to a proposal for y_t: that of y_t = a x_t given x_0 and x_u,
 * where u is t + 1, or above it if levels are left out:                                               [Zhu24]
 *   a sqrt(btilde),  btilde = sbar_t^2 / sbar_u^2 s^2,  s of drl__schedule_s */
static double drl__schedule_proposal(const drl_schedule *schedule, int t, int u)
{
    double ratio;
    if (!drl__schedule_has(schedule, t, 0)) return 0;
    ratio = schedule->sbar[t] / schedule->sbar[u];
    return ratio * drl__schedule_s(schedule, t, u) * drl_schedule_scale(schedule, t);
}

DRL__CALL(double, drl_schedule_step, (const drl_schedule *schedule, int level), (schedule, level))
{
    double factor;
    if (!drl__schedule_has(schedule, level, 0)) return 0;
    if (schedule->rule == DRL_STEP_PROPOSAL)
        return sqrt(schedule->b2) * drl__schedule_proposal(schedule, level, level + 1);
    factor = schedule->rule == DRL_STEP_DIFFUSION ? 1.0 : schedule->sbar[level] / schedule->sbar[0];
    return sqrt(factor * schedule->b2) * schedule->s[level + 1];
}

/* f / F at a level: step_t^2, sbar_{t+1} or 1, see drl_step_rule. 0 where there is no such level. */
static double drl__schedule_f_scale(const drl_schedule *schedule, int level)
{
    double step = drl_schedule_step(schedule, level);
    if (step > 0 && schedule->rule == DRL_STEP_PROPOSAL) return 1;
    if (step > 0 && schedule->rule == DRL_STEP_DIFFUSION) return schedule->sbar[level + 1];
    return step * step;
}

/* The level value of a log-SNR, rounded to float at every operation as in the published code:         [Zhu24]
 *   v = 1000 atan(exp(-clamp(l, -20, 20) / 2)) / (pi / 2) */
static float drl__level_of_logsnr(float logsnr)
{
    float l = logsnr < -20 ? -20 : logsnr > 20 ? 20 : logsnr;
    float power = drl__rounded(drl__exp((double)(-0.5f * l)));
    float angle = drl__rounded(drl__atan((double)power));
    float share = drl__rounded((double)angle / (double)(float)(0.5 * DRL__PI));
    return drl__rounded(1000 * (double)share);
}

/* What a network is told about its level, 0 to T: the level's number [Gao21], or drl__level_of_logsnr of the
 * level's log-SNR [Zhu24]. -1 where there is no such level. */
static float drl__schedule_level(const drl_schedule *schedule, int level)
{
    if (!drl__schedule_has(schedule, level, 1)) return -1;
    return schedule->logsnr ? drl__level_of_logsnr((float)schedule->logsnr[level]) : (float)level;
}

/* The mean of x_t given x_0 and x_u, A x_0 + B x_u, with a and s of drl__schedule_a and drl__schedule_s:
 *   A = abar_t s^2 / n_u^2
 *   B = a n_t^2 / n_u^2
 *   n_i^2 = sbar_i^2 + abar_i^2 data_noise^2
 * n_i^2 is the variance of x_i given the image x_0, to which training adds noise before it is diffused. */
static void drl__schedule_posterior(const drl_schedule *schedule, int t, int u, double data_noise,
                                    double *of_x0, double *of_u)
{
    const double *abar = schedule->abar, *sbar = schedule->sbar;
    double d2 = data_noise * data_noise, s = drl__schedule_s(schedule, t, u);
    double n2_t = sbar[t] * sbar[t] + d2 * abar[t] * abar[t];
    double n2_u = sbar[u] * sbar[u] + d2 * abar[u] * abar[u];
    *of_x0 = abar[t] * s * s / n2_u;
    *of_u = drl__schedule_a(schedule, t, u) * n2_t / n2_u;
}

/* -----------------------------------------------------------------------------------------------------------
 * [energy.impl] - closed-form mixtures and weighted sums.
 * -------------------------------------------------------------------------------------------------------- */

static drl_status drl__energy_check(drl_ctx *ctx, const char *who, const drl_energy *energy)
{
    if (!energy->eval) return drl__fail(ctx, DRL_E_ARGUMENT, "%s: the energy has no function `eval`", who);
    if (!energy->size)
        return drl__fail(ctx, DRL_E_ARGUMENT, "%s: the energy's size is 0; 1 or more are possible", who);
    return drl__at_least(ctx, who, "the energy's batch", energy->batch, 1);
}

/* log(weight_k p_k(y)) of component k of a mixture, with signal = a abar_t and noise = a sbar_t:
 *   log weight_k - sum_j (d_j^2 / v_j + log(2 pi v_j)) / 2
 *   d_j = y_j - signal mean_kj,  v_j = signal^2 variance_kj + noise^2 */
static double drl__mixture_log_p(const drl_mixture *m, int k, double signal, double noise, const float *y)
{
    const double *mean = m->mean + (size_t)k * m->size, *variance = m->variance + (size_t)k * m->size;
    double log_p = drl__log(m->weight[k]);
    size_t j;
    for (j = 0; j < m->size; ++j) {
        double v = signal * signal * variance[j] + noise * noise;
        double d = (double)y[j] - signal * mean[j];
        log_p -= 0.5 * (d * d / v + drl__log(2 * DRL__PI * v));
    }
    return log_p;
}

/* F = log sum_k weight_k p_k(y), and dF/dy_j = -sum_k weight_k p_k d_j / v_j over the same sum, each NULL if
 * not wanted. The p_k are taken relative to the largest, so that none overflows far from the data. */
static void drl__mixture_point(const drl_mixture *m, double signal, double noise, const float *y,
                               float *f, float *gradient)
{
    double best = 0, total = 0;
    size_t j;
    int k;
    for (k = 0; k < m->components; ++k) {
        double log_p = drl__mixture_log_p(m, k, signal, noise, y);
        if (!k || log_p > best) best = log_p;
    }
    if (gradient) for (j = 0; j < m->size; ++j) gradient[j] = 0;
    for (k = 0; k < m->components; ++k) {
        const double *mean = m->mean + (size_t)k * m->size, *variance = m->variance + (size_t)k * m->size;
        double p = drl__exp(drl__mixture_log_p(m, k, signal, noise, y) - best);
        total += p;
        if (!gradient) continue;
        for (j = 0; j < m->size; ++j) {
            double v = signal * signal * variance[j] + noise * noise;
            double d = (double)y[j] - signal * mean[j];
            gradient[j] -= (float)(p * d / v);
        }
    }
    if (f) *f = (float)(best + drl__log(total));
    if (gradient) for (j = 0; j < m->size; ++j) gradient[j] = (float)((double)gradient[j] / total);
}

/* drl_energy.eval of a mixture. */
static drl_status drl__mixture_eval(void *user, int n, const float *y, const int *level, const int *label,
                                    float *f, float *gradient)
{
    const drl_mixture *m = (const drl_mixture *)user;
    const drl_schedule *s = m->schedule;
    int i;
    (void)label;
    for (i = 0; i < n; ++i) {
        size_t at = (size_t)i * m->size;
        double a = drl_schedule_scale(s, level[i]);
        if (!drl__schedule_has(s, level[i], 0)) return DRL_E_ARGUMENT;
        drl__mixture_point(m, a * s->abar[level[i]], a * s->sbar[level[i]], y + at,
                           f ? f + i : NULL, gradient ? gradient + at : NULL);
    }
    return DRL_OK;
}

DRL_API drl_energy drl_mixture_energy(const drl_mixture *mixture)
{
    drl_energy e;
    int complete = mixture &&
                   mixture->schedule &&
                   mixture->size &&
                   mixture->components >= 1 &&
                   mixture->weight &&
                   mixture->mean &&
                   mixture->variance;
    e.eval = drl__mixture_eval;
    e.user = (void *)(uintptr_t)mixture;                        /* it is only read */
    e.size = complete ? mixture->size : 0;                      /* everything that takes energies refuses 0 */
    e.batch = 0x7fffffff;
    e.propose = NULL;
    return e;
}

struct drl_sum {
    drl_ctx *ctx;
    drl_sum_term *term;                     /* terms of one energy stand side by side */
    int count;                              /* of terms */
    int batch;                              /* most points per call */
    int piece_max;                          /* most points per evaluation of a term's energy */
    int shared;                             /* whether there are terms of one energy */
    int proposes;
    size_t size;
    float *f, *gradient;                    /* [piece_max], [piece_max * size]: of one evaluation */
    float *points;                          /* [piece_max * size]: copies, if `shared`, else NULL */
    int *level, *label;                     /* [piece_max] */
};

#define DRL__SUM_BATCH_MAX 256              /* bounds the scratch of sums over energies that take any batch */

/* Whether two terms are of one energy. */
static int drl__sum_same(const drl_sum_term *a, const drl_sum_term *b)
{
    return a->energy.eval == b->energy.eval &&
           a->energy.user == b->energy.user &&
           a->energy.propose == b->energy.propose;
}

static drl_status drl__sum_check(drl_ctx *ctx, const drl_sum_term *terms, int count)
{
    int i;
    for (i = 0; i < count; ++i) {
        char who[40];
        drl_status status;
        drl__text(who, sizeof who, "drl_sum_create: term %d", i);
        status = drl__energy_check(ctx, who, &terms[i].energy);
        if (status != DRL_OK) return status;
        if (!drl__finite(terms[i].weight))
            return drl__fail(ctx, DRL_E_ARGUMENT, "%s: the weight is %g; it has to be finite",
                             who, (double)terms[i].weight);
        if (terms[i].energy.size != terms[0].energy.size)
            return drl__fail(ctx, DRL_E_SHAPE, "%s: its points have %z floats, those of term 0 have %z",
                             who, terms[i].energy.size, terms[0].energy.size);
    }
    return DRL_OK;
}

/* The sum of these terms for at most `most` points per call, still without its arrays. */
static drl_sum drl__sum_plan(drl_ctx *ctx, const drl_sum_term *terms, int count, int most)
{
    drl_sum sum;
    int i, j;
    memset(&sum, 0, sizeof sum);
    sum.ctx = ctx;
    sum.count = count;
    sum.size = terms[0].energy.size;
    sum.batch = drl__min(most, DRL__SUM_BATCH_MAX);
    for (i = 0; i < count; ++i) {
        sum.batch = drl__min(sum.batch, terms[i].energy.batch);
        sum.proposes |= terms[i].energy.propose != NULL;
    }
    sum.piece_max = sum.batch;
    for (i = 0; i < count; ++i) {
        int same = 0;                       /* at most 65536, so that with a batch of 256 it fits an int */
        for (j = 0; j < count; ++j) same += drl__sum_same(&terms[i], &terms[j]);
        if (same < 2) continue;
        sum.shared = 1;
        sum.piece_max = drl__max(sum.piece_max, drl__min(same * sum.batch, terms[i].energy.batch));
    }
    return sum;
}

/* Sets the addresses of the sum's arrays in the block, and returns the bytes of the block; block NULL: the
 * bytes alone. */
static size_t drl__sum_place(drl_sum *sum, unsigned char *block)
{
    size_t total = 0, n = (size_t)sum->piece_max, floats;
    if (!drl__mul_fits(n, sum->size, &floats)) return SIZE_MAX;
    drl__place_array(block, &total, 1, sizeof *sum);
    sum->term = (drl_sum_term *)drl__place_array(block, &total, (size_t)sum->count, sizeof *sum->term);
    sum->f = drl__place_floats(block, &total, n);
    sum->level = (int *)drl__place_array(block, &total, n, sizeof(int));
    sum->label = (int *)drl__place_array(block, &total, n, sizeof(int));
    sum->gradient = drl__place_floats(block, &total, floats);
    sum->points = sum->shared ? drl__place_floats(block, &total, floats) : NULL;
    return total;
}

/* Makes the planned sum in its block. */
static drl_sum *drl__sum_make(const drl_sum *plan, const drl_sum_term *terms, unsigned char *block)
{
    drl_sum *sum = (drl_sum *)(void *)block;
    int i, j, k = 0;
    DRL_ASSERT(sum);
    *sum = *plan;
    drl__sum_place(sum, block);
    for (i = 0; i < sum->count; ++i) {      /* each energy's first term, then its others */
        for (j = 0; j < i && !drl__sum_same(&terms[j], &terms[i]); ++j) { }
        if (j < i) continue;
        for (; j < sum->count; ++j)
            if (drl__sum_same(&terms[i], &terms[j])) sum->term[k++] = terms[j];
    }
    return sum;
}

DRL__CALL(drl_status, drl_sum_create,
    (drl_ctx *ctx, const drl_sum_term *terms, int count, drl_sum **out),
    (ctx, terms, count, out))
{
    drl_status status;
    drl_sum plan;
    unsigned char *block;
    if (!ctx || !terms || !out)
        return drl__fail(ctx, DRL_E_ARGUMENT,
                         "drl_sum_create: a context, terms and a place for the result are needed");
    if (count < 1 || count > 65536)
        return drl__fail(ctx, DRL_E_ARGUMENT, "drl_sum_create: count is %d; 1 to 65536 are possible", count);
    status = drl__sum_check(ctx, terms, count);
    if (status != DRL_OK) return status;
    plan = drl__sum_plan(ctx, terms, count, DRL__SUM_BATCH_MAX);
    block = (unsigned char *)drl__alloc(ctx, drl__sum_place(&plan, NULL));
    if (!block) return DRL_E_MEMORY;
    *out = drl__sum_make(&plan, terms, block);
    return DRL_OK;
}

/* The weighted sum over the terms: of F and its gradient (f, out; each NULL if not wanted), or of the
 * proposals (out) with `propose`. The m terms of one energy make m * n points, of which number j * n + i is
 * point i for term j. They are evaluated in pieces of up to piece_max points. */
static drl_status drl__sum_run(drl_sum *sum, int propose, int n, const float *y, const int *level,
                               const int *label, float *f, float *out)
{
    int k, m, at, piece, r, len, started = 0;
    for (k = 0; k < sum->count; k += m) {
        const drl_sum_term *t = &sum->term[k];
        const drl_energy *e = &t->energy;
        for (m = 1; k + m < sum->count && drl__sum_same(t, t + m); ++m) { }
        if (propose && !e->propose) continue;
        for (at = 0; at < m * n; at += piece) {
            const float *points = m > 1 ? sum->points : y;
            const int *levels = m > 1 ? sum->level : level;
            const int *labels = m > 1 || t->use_label ? sum->label : label;
            drl_status status;
            piece = drl__min(m * n - at, drl__min(sum->piece_max, e->batch));
            for (r = 0; r < piece; ++r) {
                const drl_sum_term *term = t + (at + r) / n;
                size_t i = (size_t)((at + r) % n), size = sum->size;
                if (m > 1) memcpy(sum->points + (size_t)r * size, y + i * size, size * sizeof(float));
                sum->level[r] = level[i];
                sum->label[r] = term->use_label ? term->label : label ? label[i] : 0;
            }
            if (propose) status = e->propose(e->user, piece, points, levels, labels, sum->gradient);
            else status = e->eval(e->user, piece, points, levels, labels,
                                  f ? sum->f : NULL, out ? sum->gradient : NULL);
            if (status != DRL_OK) return status;
            for (r = 0; r < piece; r += len) {                  /* the part of the piece that is of term j */
                int j = (at + r) / n, i = (at + r) % n, add = started || j > 0;
                float *f_i = f ? f + i : NULL, *out_i = out ? out + (size_t)i * sum->size : NULL;
                len = drl__min(n - i, piece - r);
                if (f)
                    drl__axpby(sum->ctx, (size_t)len, t[j].weight, sum->f + r, 1.0f, add ? f_i : NULL, f_i);
                if (out)
                    drl__axpby(sum->ctx, (size_t)len * sum->size,
                               t[j].weight, sum->gradient + (size_t)r * sum->size,
                               1.0f, add ? out_i : NULL, out_i);
            }
        }
        started = 1;
    }
    return DRL_OK;
}

/* drl_energy.eval of a sum. */
static drl_status drl__sum_eval(void *user, int n, const float *y, const int *level, const int *label,
                                float *f, float *gradient)
{
    return drl__sum_run((drl_sum *)user, 0, n, y, level, label, f, gradient);
}

/* drl_energy.propose of a sum. */
static drl_status drl__sum_propose(void *user, int n, const float *x_next, const int *level,
                                   const int *label, float *mean)
{
    return drl__sum_run((drl_sum *)user, 1, n, x_next, level, label, NULL, mean);
}

DRL_API drl_energy drl_sum_energy(drl_sum *sum)
{
    drl_energy e;
    e.eval = drl__sum_eval;
    e.user = sum;
    e.size = sum ? sum->size : 0;
    e.batch = sum ? sum->batch : 0;
    e.propose = sum && sum->proposes ? drl__sum_propose : NULL;
    return e;
}

DRL_API void drl_sum_destroy(drl_sum *sum) { if (sum) drl__free(sum->ctx, sum); }

/* -----------------------------------------------------------------------------------------------------------
 * [sample.impl] - Langevin steps of a batch, and the sampler that walks them down the levels.
 * -------------------------------------------------------------------------------------------------------- */

/* The draws of a seed, `user`: image and draw number make the stream. */
static void drl__noise_counter(void *user, drl_ctx *ctx, int image, int draw, float *out, size_t n)
{
    drl_rng rng;
    rng.seed = *(const uint64_t *)user;
    rng.stream = (uint64_t)(uint32_t)image << 32 | (uint32_t)draw;
    rng.position = 0;
    drl_rng_normals(ctx, &rng, out, n);
}

/* K Langevin steps of n chains, each at its own level, in place. */
typedef struct drl__langevin_desc {
    const drl_energy *energy;
    const drl_schedule *schedule;
    const int *level, *label;               /* [n]; label may be NULL */
    int steps;
    int first_draw;                         /* step k takes draw first_draw + k */
    int first_image;                        /* chain i takes the draws of image first_image + i */
    double step_scale;                      /* factor of the step size; zero means 1 */
    double noise_scale;                     /* zero means 1, negative means 0 */
    drl_noise noise;
    int next;                               /* level u of all x_next = x_u; zero means t + 1 of each chain */
    int gaussian_step;                      /* nonzero: K = 0 of [Gao21]. Each step is a draw of
                                             * N(y + s^2 grad F(y), s^2 I), which from y = x_{t+1} is close to
                                             * p(y_t | x_{t+1}) where s = s_{t+1} is small */
} drl__langevin_desc;

/* One step of a batch: of the n chains from number `base` on. The jobs share out the chains. */
typedef struct drl__langevin_args {
    drl_ctx *ctx;
    const drl__langevin_desc *d;
    float *y, *work;                        /* work: [size] of noise per job */
    const float *x_next, *gradient;
    int base, n;
    int jobs;
    int draw;                               /* of every image, for this step */
    int bad[DRL__THREADS_MAX];              /* per job: 1 + a chain that is no longer finite, 0 if all are */
} drl__langevin_args;

/* By how much the units of y_t = a_{t+1} x_t are larger than those of x_u = a x_t + s eps, a_{t+1} / a. 1 at
 * level T, from which nothing is recovered. */
static double drl__schedule_units(const drl_schedule *schedule, int t, int u)
{
    if (u == schedule->levels) return 1;
    return drl_schedule_scale(schedule, t) / drl__schedule_a(schedule, t, u);
}

/* One Langevin step of the job's chains, at level t with the s of x_next, in the units of y:      [Gao21] (9)
 *   y <- y + h (grad F(y) - (y - x_next) / s^2) + noise_scale step eps,  h = step^2 / 2
 * At the last level there is no x_next to recover from, and the quadratic term is left out. A Gaussian step:
 *   y <- y + s^2 grad F(y) + noise_scale s eps */
static void drl__langevin_job(void *arg, int job)
{
    drl__langevin_args *a = (drl__langevin_args *)arg;
    const drl__langevin_desc *d = a->d;
    const drl_schedule *sc = d->schedule;
    size_t size = d->energy->size;
    double step_scale = d->step_scale > 0 ? d->step_scale : 1.0;
    double noise_scale = d->noise_scale < 0 ? 0.0 : d->noise_scale > 0 ? d->noise_scale : 1.0;
    float *eps = a->work + (size_t)job * size;
    int i, end = (int)((int64_t)a->n * (job + 1) / a->jobs);
    for (i = (int)((int64_t)a->n * job / a->jobs); i < end; ++i) {
        int chain = a->base + i, t = d->level[chain], u = d->next ? d->next : t + 1;
        int recovers = u < sc->levels && !d->gaussian_step;
        double longer = u == t + 1 ? 1.0
                      : drl__schedule_proposal(sc, t, u) / drl__schedule_proposal(sc, t, t + 1);
        double step = drl_schedule_step(sc, t) * step_scale * longer;
        double s = drl__schedule_s(sc, t, u) * drl__schedule_units(sc, t, u);
        double h = d->gaussian_step ? s * s : 0.5 * step * step;
        double noise = (d->gaussian_step ? s : step) * noise_scale;
        size_t at = (size_t)i * size;
        d->noise.fill(d->noise.user, a->ctx, d->first_image + chain, a->draw, eps, size);
        drl__langevin_update(a->ctx, size, a->y + at, recovers ? a->x_next + at : NULL, a->gradient + at, eps,
                             (float)h, (float)(h / (s * s)), (float)noise);
        if (!drl__all_finite(a->ctx, size, a->y + at)) a->bad[job] = 1 + chain;
    }
}

/* Floats of drl__langevin's work: one point per thread. */
static size_t drl__langevin_work_count(const drl_ctx *ctx, size_t size)
{
    size_t count;
    return ctx && drl__mul_fits(size, (size_t)ctx->threads, &count) ? count : SIZE_MAX;
}

/* gradient [n * size] receives dF/dy of the last step; work has drl__langevin_work_count floats. Fails as
 * drl_sampler_run. */
static drl_status drl__langevin(drl_ctx *ctx, const drl__langevin_desc *d, int n, float *y,
                                const float *x_next, float *gradient, float *work)
{
    const drl_energy *e = d->energy;
    drl__langevin_args a;
    int k, i, base, job;
    DRL_ASSERT(n >= 1);
    DRL_ASSERT(d->steps >= 0);
    DRL_ASSERT(d->noise.fill);
    DRL_ASSERT(d->step_scale >= 0 && drl__finite(d->step_scale));
    for (i = 0; i < n; ++i) DRL_ASSERT(drl__schedule_has(d->schedule, d->level[i], 0));
    memset(&a, 0, sizeof a);
    a.ctx = ctx;
    a.d = d;
    a.work = work;
    /* all steps of a batch before the next batch: the batch stays in the cache, and chains are independent */
    for (base = 0; base < n; base += a.n) {
        const int *level = d->level + base, *label = d->label ? d->label + base : NULL;
        size_t at = (size_t)base * e->size;
        a.base = base;
        a.n = drl__min(n - base, e->batch);
        a.jobs = drl__min(a.n, ctx->threads);
        a.y = y + at;
        a.x_next = x_next + at;
        a.gradient = gradient + at;
        for (k = 0; k < d->steps; ++k) {
            drl_status status = e->eval(e->user, a.n, y + at, level, label, NULL, gradient + at);
            if (status != DRL_OK) return status;
            a.draw = d->first_draw + k;
            drl__parallel(ctx, a.jobs, drl__langevin_job, &a);
            for (job = 0; job < a.jobs; ++job) {
                int chain = a.bad[job] - 1;
                if (chain >= 0)
                    return drl__fail(ctx, DRL_E_NUMERIC,
                                     "Langevin: chain %d has left the finite numbers at level %d, "
                                     "step %d of %d", chain, d->level[chain], k + 1, d->steps);
            }
        }
    }
    return DRL_OK;
}

struct drl_sampler {
    drl_ctx *ctx;
    drl_energy energy;                      /* with guidance, if there is any */
    drl_energy plain;                       /* without it */
    drl_schedule schedule;
    drl_noise noise;
    uint64_t seed;
    int count, first;
    int steps;                              /* per level; 1 with gaussian_step or no_chain */
    int gaussian_step;                      /* see drl__langevin_desc */
    int no_chain;                           /* every level ends with its proposal */
    drl_proposal proposal;                  /* AUTO: by the energy's function, which there is */
    int proposes;                           /* every level begins with a proposal, which takes a draw */
    int stride;                             /* levels that it divides are visited */
    double step_scale, noise_scale;
    double guidance, denoise;               /* 0: none */
    int guidance_from, guidance_to;         /* levels on which `energy` is used; `plain` on all others */
    int from_level;                         /* of the first pass */
    int *resample_from;                     /* [resample_count] of the other passes; NULL: there are none */
    int resample_count;
    size_t size;
    int pass;                               /* under way: 0..resample_count */
    int level, step;                        /* under way: step 0..steps-1 of the level; level -1 when done */
    uint64_t pass_seed;                     /* of the draws of the pass */
    uint64_t proposing;                     /* number of the proposal under way; 0: none is */
    drl_status failed;
    float *y, *x_next, *gradient, *work;
    float *known;                           /* NULL: no pixel is held */
    uint8_t *mask;
    int *levels, *labels;                   /* labels NULL: none */
};

#define DRL__DRAW_KNOWN 0x7fffffff          /* of every image, beyond all others */

/* Pixels under the mask become those of the known image at level t, times scale:
 *   y <- scale (abar_t known + sbar_t eps)
 * eps is the same draw at all levels. At level -1 they become those of the image itself. */
static void drl__sampler_hold(drl_sampler *s, float *y, int level, double scale)
{
    float signal = level < 0 ? 1.0f : (float)(scale * s->schedule.abar[level]);
    float noise = level < 0 ? 0.0f : (float)(scale * s->schedule.sbar[level]);
    size_t j;
    int i;
    if (!s->known) return;
    for (i = 0; i < s->count; ++i) {
        size_t at = (size_t)i * s->size;
        s->noise.fill(s->noise.user, s->ctx, s->first + i, DRL__DRAW_KNOWN, s->work, s->size);
        drl__axpby(s->ctx, s->size, signal, s->known + at, noise, s->work, s->work);
        for (j = 0; j < s->size; ++j)
            if (s->mask[at + j]) y[at + j] = s->work[j];
    }
}

static const drl__field drl__sample_fields[] = {
    { "count",         DRL__INT,   offsetof(drl_sample_desc, count), 1, 1, INT32_MAX, 0 },
    { "first",         DRL__INT,   offsetof(drl_sample_desc, first), 0, 0, INT32_MAX, 0 },
    { "steps",         DRL__INT,   offsetof(drl_sample_desc, steps), 0, 1, INT32_MAX, DRL__NONE },
    { "b2",            DRL__DOUBLE, offsetof(drl_sample_desc, b2), 0, 0, 1e30, DRL__NO_HIGH },
    { "proposal",      DRL__ENUM,  offsetof(drl_sample_desc, proposal), 0, 0, DRL_PROPOSAL_SCORE, 0 },
    { "stride",        DRL__INT,   offsetof(drl_sample_desc, stride), 1, 1, 1000, 0 },
    { "from_level",    DRL__INT,   offsetof(drl_sample_desc, from_level), 0, 1, INT32_MAX, 0 },
    { "noise_scale",   DRL__FLOAT, offsetof(drl_sample_desc, noise_scale), 0, 0, 1e30, DRL__NO_HIGH },
    { "guidance",      DRL__FLOAT, offsetof(drl_sample_desc, guidance), 0, -DRL__FINITE, DRL__FINITE, 0 },
    { "denoise",       DRL__FLOAT, offsetof(drl_sample_desc, denoise), 0, -DRL__FINITE, DRL__FINITE, 0 },
    { "resample_count", DRL__INT,  offsetof(drl_sample_desc, resample_count), 0, 0, 1000, 0 }
};

/* The description in full. train_steps, noise_scale and denoise are the model's. */
static void drl__sampler_resolve(const drl_sample_desc *desc, const drl_energy *energy,
                                 const drl_schedule *schedule, int train_steps, float noise_scale,
                                 float denoise, drl_sample_desc *d)
{
    memset(d, 0, sizeof *d);
    if (desc) *d = *desc;
    drl__defaults(drl__sample_fields, DRL__COUNT(drl__sample_fields), d);
    if (d->noise_scale == 0) d->noise_scale = noise_scale;
    if (d->denoise == 0) d->denoise = denoise;
    if (!d->steps) d->steps = train_steps;
    if (!d->proposal && !energy->propose) d->proposal = DRL_PROPOSAL_NONE;
    if (!d->from_level) d->from_level = schedule->levels;
    if (!d->guidance_to) d->guidance_to = schedule->levels;
}

/* Images that the description points at, NULL: none. name: of the field. */
static drl_status drl__sampler_check_images(drl_ctx *ctx, const char *name, const float *x, int count,
                                            size_t size)
{
    int i;
    if (!x) return DRL_OK;
    if (drl__floats_check(ctx, "sampler", name, x) != DRL_OK) return DRL_E_ARGUMENT;
    for (i = 0; i < count; ++i)
        if (!drl__all_finite(ctx, size, x + (size_t)i * size))
            return drl__fail(ctx, DRL_E_NUMERIC, "sampler: image %d of %s has pixels that are not finite",
                             i, name);
    return DRL_OK;
}

/* The passes after the first one. *total: levels of all passes, on each of which `steps` steps are made. */
static drl_status drl__sampler_check_passes(drl_ctx *ctx, const drl_sample_desc *d, int levels, int *total)
{
    int i;
    *total = levels;
    if (d->resample_count && !d->resample_from)
        return drl__fail(ctx, DRL_E_ARGUMENT,
                         "sampler: resample_count is %d; resample_from, the levels, is missing",
                         d->resample_count);
    if (d->resample_count && d->noise.fill)
        return drl__fail(ctx, DRL_E_ARGUMENT,
                         "sampler: resample_count is %d and noise is given, but further passes have draws of "
                         "their own", d->resample_count);
    for (i = 0; i < d->resample_count; ++i) {
        if (d->resample_from[i] < 1 || d->resample_from[i] > levels)
            return drl__fail(ctx, DRL_E_ARGUMENT, "sampler: resample_from[%d] is %d; 1 to %d are possible",
                             i, d->resample_from[i], levels);
        *total += d->resample_from[i];
    }
    return DRL_OK;
}

static drl_status drl__sampler_check(drl_ctx *ctx, const drl_energy *energy, int levels,
                                     const drl_sample_desc *d)
{
    int total;
    drl_status status = drl__zeroed(ctx, "drl_sample_desc", d->canary);
    if (status == DRL_OK)
        status = drl__check(ctx, DRL_E_ARGUMENT, "sampler",
                            drl__sample_fields, DRL__COUNT(drl__sample_fields), d);
    if (status == DRL_OK) status = drl__energy_check(ctx, "sampler", energy);
    if (status != DRL_OK) return status;
    if (d->first > INT32_MAX - d->count)
        return drl__fail(ctx, DRL_E_ARGUMENT, "sampler: images are numbered up to %d; first is %d, count %d",
                         INT32_MAX, d->first, d->count);
    if (d->from_level > levels)
        return drl__fail(ctx, DRL_E_ARGUMENT, "sampler: from_level is %d; 1 to %d are possible",
                         d->from_level, levels);
    if (d->from_level < levels && !d->start)
        return drl__fail(ctx, DRL_E_ARGUMENT,
                         "sampler: from_level is %d of %d; start, the images there, is missing",
                         d->from_level, levels);
    if (drl__sampler_check_passes(ctx, d, levels, &total) != DRL_OK) return DRL_E_ARGUMENT;
    if (d->steps >= (INT32_MAX - 1) / total)
        return drl__fail(ctx, DRL_E_ARGUMENT,
                         "sampler: steps is %d on each of %d levels; together fewer than %d are possible",
                         d->steps, total, INT32_MAX - 1);
    if (d->guidance_from < 0 || d->guidance_from >= levels)
        return drl__fail(ctx, DRL_E_ARGUMENT, "sampler: guidance_from is %d; 0 to %d are possible",
                         d->guidance_from, levels - 1);
    if (d->guidance_to <= d->guidance_from || d->guidance_to > levels)
        return drl__fail(ctx, DRL_E_ARGUMENT,
                         "sampler: guidance_to is %d; above guidance_from, %d to %d are possible",
                         d->guidance_to, d->guidance_from + 1, levels);
    if (d->no_chain && d->proposal == DRL_PROPOSAL_NONE)
        return drl__fail(ctx, DRL_E_ARGUMENT,
                         "sampler: no_chain is for energies with proposals (models with an initializer, or "
                         "DRL_PROPOSAL_SCORE)");
    if (d->stride > 1 && d->steps < 0 && !d->no_chain)
        return drl__fail(ctx, DRL_E_ARGUMENT,
                         "sampler: stride is %d with K = 0, whose draw is for neighbouring levels; ask for "
                         "steps, or for DRL_PROPOSAL_SCORE and no_chain", d->stride);
    if (!d->known != !d->mask)
        return drl__fail(ctx, DRL_E_ARGUMENT, "sampler: %s is given without %s",
                         d->known ? "known" : "mask", d->known ? "mask" : "known");
    status = drl__sampler_check_images(ctx, "start", d->start, d->count, energy->size);
    if (status != DRL_OK) return status;
    return drl__sampler_check_images(ctx, "known", d->known, d->count, energy->size);
}

/* By how much the steps are longer than the schedule's. */
static double drl__sampler_step_scale(const drl_sample_desc *d, const drl_schedule *schedule, int train_steps)
{
    if (d->b2 > 0 || d->steps < 0) return 1;
    if (train_steps > 0) return sqrt((double)train_steps / d->steps);
    /* trained with K = 0: step^2 = min(1, 6 / steps) s^2; 6 steps or more of it leave exp(-3) of x_{t+1} */
    if (train_steps < 0 && schedule->rule == DRL_STEP_DIFFUSION)
        return schedule->s[1] / drl_schedule_step(schedule, 0) * sqrt(d->steps < 6 ? 1.0 : 6.0 / d->steps);
    return 1;
}

/* The level t that comes after x_from: the next one below it that is visited. */
static int drl__sampler_below(const drl_sampler *s, int from) { return (from - 1) / s->stride * s->stride; }

/* The sampler of a description that is in order, still without its arrays and without guidance. */
static drl_sampler drl__sampler_plan(drl_ctx *ctx, const drl_energy *energy, const drl_schedule *schedule,
                                     const drl_sample_desc *d, int train_steps)
{
    drl_sampler s;
    memset(&s, 0, sizeof s);
    s.ctx = ctx;
    s.energy = *energy;
    s.plain = *energy;
    s.size = energy->size;
    s.schedule = *schedule;
    if (d->b2 > 0) s.schedule.b2 = d->b2;
    s.seed = d->seed;
    s.noise = d->noise;
    s.count = d->count;
    s.first = d->first;
    s.no_chain = d->no_chain != 0;
    s.gaussian_step = d->steps < 0 && !s.no_chain;
    s.proposal = d->proposal;
    s.proposes = d->proposal != DRL_PROPOSAL_NONE && !s.gaussian_step;
    s.stride = d->stride;
    s.steps = s.no_chain ? 1 : drl__max(d->steps, 1);
    s.step_scale = drl__sampler_step_scale(d, schedule, train_steps);
    s.noise_scale = (double)d->noise_scale;
    s.guidance = d->labels ? (double)d->guidance : 0.0;
    if (s.guidance != 0) {
        s.guidance_from = d->guidance_from;
        s.guidance_to = d->guidance_to;
    }
    s.denoise = d->denoise > 0 && !s.no_chain ? (double)d->denoise : 0.0;
    s.from_level = d->from_level;
    s.resample_count = d->resample_count;
    s.level = drl__sampler_below(&s, d->from_level);
    s.pass_seed = d->seed;
    return s;
}

/* Sets the addresses of the sampler's arrays, and of the sum that guides it, in the block, and returns the
 * bytes of the block; block NULL: the bytes alone. */
static size_t drl__sampler_place(drl_sampler *s, const drl_sample_desc *d, size_t sum_bytes,
                                 unsigned char *block, unsigned char **sum)
{
    size_t total = 0, n = (size_t)s->count, work = drl__langevin_work_count(s->ctx, s->size), floats;
    size_t passes = (size_t)s->resample_count;
    if (!drl__mul_fits(n, s->size, &floats)) return SIZE_MAX;
    drl__place_array(block, &total, 1, sizeof *s);
    s->y = drl__place_floats(block, &total, floats);
    s->x_next = drl__place_floats(block, &total, floats);
    s->gradient = drl__place_floats(block, &total, floats);
    s->work = drl__place_floats(block, &total, work);
    s->levels = (int *)drl__place_array(block, &total, n, sizeof(int));
    s->labels = d->labels ? (int *)drl__place_array(block, &total, n, sizeof(int)) : NULL;
    s->resample_from = passes ? (int *)drl__place_array(block, &total, passes, sizeof(int)) : NULL;
    s->known = d->known ? drl__place_floats(block, &total, floats) : NULL;
    s->mask = d->known ? (uint8_t *)drl__place_array(block, &total, floats, 1) : NULL;
    *sum = (unsigned char *)drl__place_array(block, &total, sum_bytes, 1);
    return total;
}

/* Guidance, F_w(y) = (w + 1) F(y; label) - w F(y; 0), as the terms of a sum. */
static void drl__guidance_terms(const drl_energy *energy, float w, drl_sum_term term[2])
{
    memset(term, 0, 2 * sizeof *term);
    term[0].energy = *energy;
    term[0].weight = w + 1;
    term[1].energy = *energy;
    term[1].weight = -w;
    term[1].use_label = 1;
}

/* Copies the description's arrays, and sets the images at level from_level: those given, or noise. */
static void drl__sampler_start(drl_sampler *s, const drl_sample_desc *d)
{
    size_t n = (size_t)s->count, floats = n * s->size, j;
    int i;
    DRL_ASSERT(s->y && s->x_next && (s->labels || !d->labels) && ((s->known && s->mask) || !d->known));
    if (d->labels) memcpy(s->labels, d->labels, n * sizeof(int));
    if (s->resample_from) memcpy(s->resample_from, d->resample_from, (size_t)s->resample_count * sizeof(int));
    for (j = 0; d->known && j < floats; ++j) {                  /* what is not held does not count */
        s->mask[j] = d->mask[j] != 0;
        s->known[j] = d->mask[j] ? d->known[j] : 0.0f;
    }
    if (d->start) memcpy(s->y, d->start, floats * sizeof(float));
    else for (i = 0; i < s->count; ++i)
        s->noise.fill(s->noise.user, s->ctx, s->first + i, 0, s->y + (size_t)i * s->size, s->size);
    drl__sampler_hold(s, s->y, s->from_level, 1.0);
    memcpy(s->x_next, s->y, floats * sizeof(float));            /* without a proposal, chains start at it */
}

/* train_steps, noise_scale and denoise: the model's, for what the description leaves out. */
static drl_status drl__sampler_new(drl_ctx *ctx, const drl_energy *energy, const drl_schedule *schedule,
                                   const drl_sample_desc *desc, int train_steps, float noise_scale,
                                   float denoise, drl_sampler **out)
{
    drl_sampler plan, *s;
    drl_sample_desc d;
    drl_sum_term term[2];
    drl_sum sum;
    size_t sum_bytes = 0;
    unsigned char *block, *sum_block = NULL;
    drl_status status;
    drl__sampler_resolve(desc, energy, schedule, train_steps, noise_scale, denoise, &d);
    status = drl__sampler_check(ctx, energy, schedule->levels, &d);
    if (status != DRL_OK) return status;
    plan = drl__sampler_plan(ctx, energy, schedule, &d, train_steps);
    drl__guidance_terms(energy, d.guidance, term);
    sum = drl__sum_plan(ctx, term, 2, d.count);
    if (plan.guidance != 0) sum_bytes = drl__sum_place(&sum, NULL);
    block = (unsigned char *)drl__alloc(ctx, drl__sampler_place(&plan, &d, sum_bytes, NULL, &sum_block));
    if (!block) return DRL_E_MEMORY;
    s = (drl_sampler *)(void *)block;
    *s = plan;
    drl__sampler_place(s, &d, sum_bytes, block, &sum_block);
    if (s->guidance != 0) s->energy = drl_sum_energy(drl__sum_make(&sum, term, sum_block));
    if (!s->noise.fill) {
        s->noise.fill = drl__noise_counter;
        s->noise.user = &s->pass_seed;
    }
    drl__sampler_start(s, &d);
    *out = s;
    return DRL_OK;
}

DRL__CALL(drl_status, drl_sampler_create_energy,
    (drl_ctx *ctx, const drl_energy *energy, const drl_schedule *schedule, const drl_sample_desc *desc,
     drl_sampler **out),
    (ctx, energy, schedule, desc, out))
{
    const char *who = "drl_sampler_create_energy";
    drl_status status;
    if (!ctx || !energy || !schedule || !desc || !out)
        return drl__fail(ctx, DRL_E_ARGUMENT, "%s: a context, an energy, a schedule, a description and a "
                         "place for the result are needed", who);
    if (desc->energy)
        return drl__fail(ctx, DRL_E_ARGUMENT, "%s: the description has an energy, too; it has to be NULL",
                         who);
    status = drl__schedule_check(ctx, who, schedule);
    if (status != DRL_OK) return status;
    return drl__sampler_new(ctx, energy, schedule, desc, 0, 1.0f, 0.0f, out);
}

/* The seed of a pass's draws. */
static uint64_t drl__sampler_seed(const drl_sampler *s, int pass)
{
    return s->seed + (uint64_t)pass * 0x9e3779b9u;
}

/* The level t at whose x_t a pass begins. */
static int drl__sampler_from(const drl_sampler *s, int pass)
{
    return pass ? s->resample_from[pass - 1] : s->from_level;
}

/* Whether the images are x_0 of one pass, and the next step begins the next pass. */
static int drl__sampler_is_between(const drl_sampler *s)
{
    return s->pass && !s->step && s->level == drl__sampler_below(s, drl__sampler_from(s, s->pass));
}

/* The level u of x_next = x_u, from which the level under way is drawn; 0 when all are done. */
static int drl__sampler_next(const drl_sampler *s)
{
    return s->level < 0 ? 0 : drl__min(s->level + s->stride, drl__sampler_from(s, s->pass));
}

#define DRL__DRAW_RESAMPLE (-1)             /* of every image: the last draw of its stream, 2^32 - 1 */

/* A pass after the first one begins: x_next <- x_t = abar_t x_0 + sbar_t eps, eps a draw of the pass before.
 * x_0 stays in y until the proposal replaces it; without one, chains start at x_next. */
static void drl__sampler_resample(drl_sampler *s)
{
    int t = drl__sampler_from(s, s->pass), i;
    uint64_t seed = drl__sampler_seed(s, s->pass - 1);
    float signal = (float)s->schedule.abar[t], noise = (float)s->schedule.sbar[t];
    size_t j;
    for (i = 0; i < s->count; ++i) {
        float *x = s->x_next + (size_t)i * s->size;
        const float *x_0 = s->y + (size_t)i * s->size;
        drl__noise_counter(&seed, s->ctx, s->first + i, DRL__DRAW_RESAMPLE, s->work, s->size);
        for (j = 0; j < s->size; ++j) x[j] = signal * x_0[j] + noise * s->work[j];
    }
    drl__sampler_hold(s, s->x_next, t, 1.0);
    if (!s->proposes) memcpy(s->y, s->x_next, (size_t)s->count * s->size * sizeof(float));
}

/* The energy of the level under way. */
static const drl_energy *drl__sampler_energy(const drl_sampler *s)
{
    return s->level >= s->guidance_from && s->level < s->guidance_to ? &s->energy : &s->plain;
}

/* y <- the mean of y_t = a x_t given x_u and an estimate of x_0, of n images from number `base` on:
 *   a (A x_0 + B x_u),  A and B of drl__schedule_posterior
 * The score of x_u estimates x_0 as drl_proposal says. The energy's function knows u = t + 1 only: what it
 * takes x_0 for follows from the mean for level u - 1. */
static drl_status drl__sampler_mean(drl_sampler *s, int base, int n)
{
    const drl_energy *e = drl__sampler_energy(s);
    const drl_schedule *sc = &s->schedule;
    const float *x = s->x_next + (size_t)base * s->size;
    const int *label = s->labels ? s->labels + base : NULL;
    float *y = s->y + (size_t)base * s->size, *gradient = s->gradient + (size_t)base * s->size;
    int *level = s->levels + base, t = s->level, u = drl__sampler_next(s), i;
    int by_score = s->proposal == DRL_PROPOSAL_SCORE;
    size_t floats = (size_t)n * s->size;
    double a = drl_schedule_scale(sc, t), of_x0, of_x;
    drl_status status = DRL_OK;
    drl__schedule_posterior(sc, t, u, 0, &of_x0, &of_x);
    for (i = 0; i < n; ++i) level[i] = by_score ? u : u - 1;
    if (!by_score) {
        status = e->propose(e->user, n, x, level, label, y);
        if (status == DRL_OK && u > t + 1) {                    /* y is the mean for level u - 1 */
            double below = drl_schedule_scale(sc, u - 1), below_x0, below_x, share;
            drl__schedule_posterior(sc, u - 1, u, 0, &below_x0, &below_x);
            share = a * of_x0 / (below * below_x0);
            drl__axpby(s->ctx, floats, (float)(a * of_x - share * below * below_x), x, (float)share, y, y);
        }
    } else if (u == sc->levels) {
        drl__axpby(s->ctx, floats, (float)(a * of_x), x, 0.0f, NULL, y);
    } else {
        double a_u = drl_schedule_scale(sc, u), abar = sc->abar[u], sbar = sc->sbar[u];
        drl__axpby(s->ctx, floats, (float)a_u, x, 0.0f, NULL, y);
        status = e->eval(e->user, n, y, level, label, NULL, gradient);
        drl__axpby(s->ctx, floats, (float)(a * (of_x0 / abar + of_x)), x,
                   (float)(a * of_x0 * sbar * sbar * a_u / abar), gradient, y);
    }
    for (i = 0; i < n; ++i) level[i] = t;
    return status;
}

/* y <- a draw around the proposed mean. */
static drl_status drl__sampler_propose_all(drl_sampler *s, int draw)
{
    const drl_energy *e = drl__sampler_energy(s);
    float noise = (float)drl__schedule_proposal(&s->schedule, s->level, drl__sampler_next(s));
    int base, i, n;
    for (base = 0; base < s->count; base += n) {
        drl_status status;
        n = drl__min(s->count - base, e->batch);
        status = drl__sampler_mean(s, base, n);
        if (status != DRL_OK) return status;
        for (i = base; i < base + n; ++i) {
            float *y = s->y + (size_t)i * s->size;
            s->noise.fill(s->noise.user, s->ctx, s->first + i, draw, s->work, s->size);
            drl__axpby(s->ctx, s->size, noise, s->work, 1.0f, y, y);
            if (!drl__all_finite(s->ctx, s->size, y))
                return drl__fail(s->ctx, DRL_E_NUMERIC,
                                 "sampler: the proposal for image %d at level %d is not finite", i, s->level);
        }
    }
    return DRL_OK;
}

/* The proposal; DRL_RUNNING when it has stopped at the end of a slice. */
static drl_status drl__sampler_propose(drl_sampler *s, int draw)
{
    drl__until *until = &s->ctx->until;
    drl_status status;
    until->goes_on = s->proposing != 0;
    if (!s->proposing) s->proposing = ++s->ctx->proposals;
    until->runs = 0;
    until->proposal = until->clock ? s->proposing : 0;
    status = drl__sampler_propose_all(s, draw);
    until->proposal = 0;
    if (status != DRL_RUNNING) s->proposing = 0;
    return status;
}

/* The denoising step at the end, y <- x_0:
 *   x_0 = (x + denoise sbar_0^2 score(x)) / abar_0,  x = y / a_1,  score(x) = a_1 grad F(y) */
static drl_status drl__sampler_denoise(drl_sampler *s)
{
    const drl_energy *e = drl__sampler_energy(s);
    double a = drl_schedule_scale(&s->schedule, 0), abar = s->schedule.abar[0], sbar = s->schedule.sbar[0];
    float of_y = (float)(1 / (a * abar)), of_gradient = (float)(s->denoise * sbar * sbar * a / abar);
    int base, i, n;
    for (base = 0; base < s->count; base += n) {
        float *y = s->y + (size_t)base * s->size, *gradient = s->gradient + (size_t)base * s->size;
        drl_status status;
        n = drl__min(s->count - base, e->batch);
        status = e->eval(e->user, n, y, s->levels + base, s->labels ? s->labels + base : NULL,
                         NULL, gradient);
        if (status != DRL_OK) return status;
        drl__axpby(s->ctx, (size_t)n * s->size, of_y, y, of_gradient, gradient, y);
        for (i = base; i < base + n; ++i)
            if (!drl__all_finite(s->ctx, s->size, s->y + (size_t)i * s->size))
                return drl__fail(s->ctx, DRL_E_NUMERIC,
                                 "sampler: image %d is not finite after the denoising step", i);
    }
    return DRL_OK;
}

/* Before the first step of a level that is not x_next's neighbour: x_next in the units of y. */
static void drl__sampler_to_units_of_y(drl_sampler *s)
{
    int next = drl__sampler_next(s);
    float units = (float)drl__schedule_units(&s->schedule, s->level, next);
    size_t floats = (size_t)s->count * s->size;
    if (next == s->level + 1) return;
    drl__axpby(s->ctx, floats, units, s->x_next, 0.0f, NULL, s->x_next);
    if (!s->proposes) memcpy(s->y, s->x_next, floats * sizeof(float));
}

/* `steps` steps of the level under way. Its first one begins with the proposal; the last one of level 0 ends
 * with the denoising step. */
static drl_status drl__sampler_steps(drl_sampler *s, int steps)
{
    int levels_done = (drl__sampler_below(s, drl__sampler_from(s, s->pass)) - s->level) / s->stride;
    int i, draw = 1 + levels_done * (s->steps + s->proposes);   /* the level's first */
    double scale = drl_schedule_scale(&s->schedule, s->level);
    drl__langevin_desc d;
    drl_status status = DRL_OK;
    for (i = 0; i < s->count; ++i) s->levels[i] = s->level;
    memset(&d, 0, sizeof d);
    d.energy = drl__sampler_energy(s);
    d.schedule = &s->schedule;
    d.level = s->levels;
    d.label = s->labels;
    d.next = drl__sampler_next(s);
    d.steps = steps;
    d.first_image = s->first;
    d.first_draw = draw + s->proposes + s->step;
    d.step_scale = s->step_scale;
    d.noise_scale = s->noise_scale;
    d.noise = s->noise;
    d.gaussian_step = s->gaussian_step;
    if (drl__sampler_is_between(s) && !s->proposing) drl__sampler_resample(s);
    if (!s->step && s->proposes) status = drl__sampler_propose(s, draw);
    if (status == DRL_OK && !s->step) drl__sampler_to_units_of_y(s);
    if (status == DRL_OK && !s->step && !s->gaussian_step) drl__sampler_hold(s, s->y, s->level, scale);
    if (status == DRL_OK && !s->no_chain)
        status = drl__langevin(s->ctx, &d, s->count, s->y, s->x_next, s->gradient, s->work);
    if (status == DRL_OK) drl__sampler_hold(s, s->y, s->level, scale);
    if (status == DRL_OK && s->denoise > 0 && s->level == 0 && s->step + steps == s->steps)
        status = drl__sampler_denoise(s);
    return status;
}

/* The level under way is done: x_t = y_t / a_{t+1}, from which the next chain starts. With level 0 the pass
 * is done, and the next one is under way, if there is one. */
static void drl__sampler_finish_level(drl_sampler *s)
{
    size_t j, floats = (size_t)s->count * s->size;
    float inverse = (float)(1.0 / drl_schedule_scale(&s->schedule, s->level));
    int denoised = s->level == 0 && s->denoise > 0;             /* y is x_0 already */
    if (!denoised) for (j = 0; j < floats; ++j) s->y[j] *= inverse;
    if (!s->level) drl__sampler_hold(s, s->y, -1, 1.0);
    memcpy(s->x_next, s->y, floats * sizeof(float));
    s->level = s->level ? s->level - s->stride : -1;
    s->step = 0;
    if (s->level < 0 && s->pass < s->resample_count) {
        ++s->pass;
        s->pass_seed = drl__sampler_seed(s, s->pass);
        s->level = drl__sampler_below(s, drl__sampler_from(s, s->pass));
    }
}

DRL__CALL(drl_status, drl_sampler_run, (drl_sampler *s, int steps), (s, steps))
{
    if (!s) return drl__fail(NULL, DRL_E_ARGUMENT, "drl_sampler_run: no sampler");
    if (drl__at_least(s->ctx, "drl_sampler_run", "steps", steps, 0) != DRL_OK) return DRL_E_ARGUMENT;
    if (s->failed) return s->failed;
    while (steps > 0 && s->level >= 0) {
        int n = drl__min(s->known ? 1 : steps, s->steps - s->step);     /* known pixels are held after each */
        drl_status status = drl__sampler_steps(s, n);
        if (status == DRL_RUNNING) return status;
        if (status != DRL_OK) return s->failed = status;
        steps -= n;
        s->step += n;
        if (s->step == s->steps) drl__sampler_finish_level(s);
    }
    return s->level < 0 ? DRL_OK : DRL_RUNNING;
}

DRL__CALL(drl_status, drl_sampler_run_until,
    (drl_sampler *s, double (*clock)(void *user), void *user, double end),
    (s, clock, user, end))
{
    drl__until before;
    drl_status status;
    if (!s || !clock)
        return drl__fail(s ? s->ctx : NULL, DRL_E_ARGUMENT, "drl_sampler_run_until: no %s",
                         s ? "clock" : "sampler");
    before = s->ctx->until;
    memset(&s->ctx->until, 0, sizeof s->ctx->until);
    s->ctx->until.clock = clock;
    s->ctx->until.user = user;
    s->ctx->until.end = end;
    do status = drl_sampler_run(s, 1); while (status == DRL_RUNNING && clock(user) < end);
    s->ctx->until = before;
    return status;
}

/* cos(w) eps_from + sin(w) eps_to,  w = image / (count - 1) pi / 2. The second draw comes in pieces of 64. */
static void drl__noise_interpolated(void *user, drl_ctx *ctx, int image, int draw, float *out, size_t n)
{
    const drl_interpolation *p = (const drl_interpolation *)user;
    double angle = 0.5 * DRL__PI * (p->count > 1 ? (double)image / (p->count - 1) : 0.0), s, c;
    uint64_t seed = p->seed;
    float other[64];
    drl_rng rng;
    size_t i, k;
    drl__sincos(angle, &s, &c);
    if (image == p->count - 1 && image) c = 0;                  /* exactly the other end */
    drl__noise_counter(&seed, ctx, p->from, draw, out, n);
    rng.seed = seed;
    rng.stream = (uint64_t)(uint32_t)p->to << 32 | (uint32_t)draw;
    rng.position = 0;
    for (i = 0; i < n; i += k) {
        k = n - i < DRL__COUNT(other) ? n - i : DRL__COUNT(other);
        drl_rng_normals(ctx, &rng, other, k);
        drl__axpby(ctx, k, (float)c, out + i, (float)s, other, out + i);
    }
}

DRL_API drl_noise drl_interpolation_noise(drl_interpolation *p)
{
    drl_noise noise;
    noise.fill = p ? drl__noise_interpolated : NULL;
    noise.user = p;
    return noise;
}

DRL_API int drl_sampler_steps_left(const drl_sampler *s)
{
    int levels, pass;
    if (!s || s->level < 0) return 0;
    levels = s->level / s->stride + 1;
    for (pass = s->pass; pass < s->resample_count; ++pass)
        levels += drl__sampler_below(s, drl__sampler_from(s, pass + 1)) / s->stride + 1;
    return levels * s->steps - s->step;
}

DRL_API int drl_sampler_level(const drl_sampler *s) { return s ? s->level : -1; }
DRL_API void drl_sampler_destroy(drl_sampler *s) { if (s) drl__free(s->ctx, s); }

/* What drl_sampler_image and drl_sampler_point ask of their arguments. */
static drl_status drl__sampler_check_out(const drl_sampler *s, const char *who, int i, const float *out)
{
    if (!s) return drl__fail(NULL, DRL_E_ARGUMENT, "%s: no sampler", who);
    if (drl__floats_check(s->ctx, who, "out", out) != DRL_OK) return DRL_E_ARGUMENT;
    if (i < 0 || i >= s->count)
        return drl__fail(s->ctx, DRL_E_ARGUMENT, "%s: image %d; 0 to %d are possible", who, i, s->count - 1);
    return DRL_OK;
}

DRL__CALL(drl_status, drl_sampler_image, (const drl_sampler *s, int i, float *out), (s, i, out))
{
    drl_status status = drl__sampler_check_out(s, "drl_sampler_image", i, out);
    float inverse = 1.0f;
    size_t j;
    if (status != DRL_OK) return status;
    if (s->level >= 0 && s->step) inverse = (float)(1.0 / drl_schedule_scale(&s->schedule, s->level));
    for (j = 0; j < s->size; ++j) out[j] = s->y[(size_t)i * s->size + j] * inverse;
    return DRL_OK;
}

DRL__CALL(drl_status, drl_sampler_point, (const drl_sampler *s, int i, float *out), (s, i, out))
{
    drl_status status = drl__sampler_check_out(s, "drl_sampler_point", i, out);
    float scale = 1.0f;
    int last;                               /* the level that was run last */
    size_t j;
    if (status != DRL_OK) return status;
    last = drl__sampler_is_between(s) ? 0 : drl__sampler_next(s);
    if (!s->step && last < s->schedule.levels) scale = (float)drl_schedule_scale(&s->schedule, last);
    for (j = 0; j < s->size; ++j) out[j] = s->y[(size_t)i * s->size + j] * scale;
    return DRL_OK;
}

/* A saved state of a sampler or of chains: a safetensors file with one line of fields in its metadata. Its
 * first fields and tensors, the fixed ones, say what the object was made from: the object that restores the
 * state has to agree with them. */
#define DRL__SAVED_TENSORS 9

typedef struct drl__saved {
    const char *key;                        /* of the line in the metadata */
    const drl__field *field;                /* of the line, with offsets in the object */
    size_t fields, fixed_fields;
    drl_array tensor[DRL__SAVED_TENSORS];   /* with the object's own data */
    size_t tensors, fixed_tensors;
} drl__saved;

/* A tensor with rows of `columns` elements; columns 0: without rows. No tensor if data is NULL. */
static void drl__saved_add(drl__saved *saved, const char *name, drl_dtype dtype, size_t rows, size_t columns,
                           const void *data)
{
    size_t shape[2];
    shape[0] = rows;
    shape[1] = columns;
    DRL_ASSERT(saved->tensors < DRL__SAVED_TENSORS);
    if (data) saved->tensor[saved->tensors++] = drl_array_of(name, dtype, columns ? 2 : 1, shape, data);
}

static drl_status drl__saved_write(drl_ctx *ctx, const char *who, const drl__saved *saved, const void *object,
                                   void *dst, size_t capacity, size_t *written)
{
    char text[DRL__DESCRIBE_MAX];
    const char *meta[2];
    drl_safetensors_desc desc;
    drl__describe(saved->field, saved->fields, object, text, sizeof text);
    meta[0] = saved->key;
    meta[1] = text;
    memset(&desc, 0, sizeof desc);
    desc.arrays = saved->tensor;
    desc.count = saved->tensors;
    desc.meta = meta;
    desc.meta_count = 1;
    return drl__st_write_memory(ctx, who, &desc, dst, capacity, written);
}

/* Opens a saved state and checks that it is one of the object. `read`, of the object's type, receives the
 * fields. The caller closes *st, which may be open after a failure, too. */
static drl_status drl__saved_open(drl_ctx *ctx, const char *who, const drl__saved *saved, const void *object,
                                  const void *bytes, size_t size, void *read, drl_safetensors **st)
{
    const char *text;
    size_t i;
    drl_status status = drl__st_open(ctx, who, (const unsigned char *)bytes, size, st);
    if (status != DRL_OK) return status;
    text = drl__safetensors_meta(*st, saved->key);
    if (!text || !drl__undescribe(saved->field, saved->fields, text, read))
        return drl__fail(ctx, DRL_E_FORMAT, "%s: the metadata has %s \"%s\"",
                         who, text ? "a malformed" : "no", saved->key);
    for (i = 0; i < saved->fixed_fields; ++i) {
        char given[64], own[64];
        drl__describe(&saved->field[i], 1, read, given, sizeof given);
        drl__describe(&saved->field[i], 1, object, own, sizeof own);
        if (strcmp(given, own))
            return drl__fail(ctx, DRL_E_FORMAT, "%s: the state has %s; it has to have %s", who, given, own);
    }
    return drl__st_match(ctx, who, *st, saved->tensor, saved->tensors, saved->fixed_tensors);
}

#define DRL__SAMPLER_POSITION 3             /* the last fields: where the sampler is; the others are fixed */
static const drl__field drl__sampler_state_fields[] = {
    { "count",         DRL__INT,    offsetof(drl_sampler, count), 0, 0, 0, DRL__ANY },
    { "seed",          DRL__U64,    offsetof(drl_sampler, seed), 0, 0, 0, DRL__ANY },
    { "first",         DRL__INT,    offsetof(drl_sampler, first), 0, 0, 0, DRL__ANY },
    { "steps",         DRL__INT,    offsetof(drl_sampler, steps), 0, 0, 0, DRL__ANY },
    { "gaussian_step", DRL__INT,    offsetof(drl_sampler, gaussian_step), 0, 0, 0, DRL__ANY },
    { "no_chain",      DRL__INT,    offsetof(drl_sampler, no_chain), 0, 0, 0, DRL__ANY },
    { "proposal",      DRL__ENUM,   offsetof(drl_sampler, proposal), 0, 0, 0, DRL__ANY },
    { "stride",        DRL__INT,    offsetof(drl_sampler, stride), 0, 0, 0, DRL__ANY },
    { "from_level",    DRL__INT,    offsetof(drl_sampler, from_level), 0, 0, 0, DRL__ANY },
    { "step_scale",    DRL__DOUBLE, offsetof(drl_sampler, step_scale), 0, 0, 0, DRL__ANY },
    { "noise_scale",   DRL__DOUBLE, offsetof(drl_sampler, noise_scale), 0, 0, 0, DRL__ANY },
    { "guidance",      DRL__DOUBLE, offsetof(drl_sampler, guidance), 0, 0, 0, DRL__ANY },
    { "guidance_from", DRL__INT,    offsetof(drl_sampler, guidance_from), 0, 0, 0, DRL__ANY },
    { "guidance_to",   DRL__INT,    offsetof(drl_sampler, guidance_to), 0, 0, 0, DRL__ANY },
    { "denoise",       DRL__DOUBLE, offsetof(drl_sampler, denoise), 0, 0, 0, DRL__ANY },
    { "levels",        DRL__INT,    offsetof(drl_sampler, schedule.levels), 0, 0, 0, DRL__ANY },
    { "step_rule",     DRL__ENUM,   offsetof(drl_sampler, schedule.rule), 0, 0, 0, DRL__ANY },
    { "b2",            DRL__DOUBLE, offsetof(drl_sampler, schedule.b2), 0, 0, 0, DRL__ANY },
    { "resample_count", DRL__INT,   offsetof(drl_sampler, resample_count), 0, 0, 0, DRL__ANY },
    { "pass",          DRL__INT,    offsetof(drl_sampler, pass), 0, 0, 0, DRL__ANY },
    { "level",         DRL__INT,    offsetof(drl_sampler, level), 0, 0, 0, DRL__ANY },
    { "step",          DRL__INT,    offsetof(drl_sampler, step), 0, 0, 0, DRL__ANY }
};

static drl__saved drl__sampler_saved(const drl_sampler *s)
{
    const drl_schedule *sc = &s->schedule;
    size_t n = (size_t)s->count, levels = (size_t)sc->levels + 1, passes = (size_t)s->resample_count;
    drl__saved saved;
    memset(&saved, 0, sizeof saved);
    saved.key = "drl.sampler";
    saved.field = drl__sampler_state_fields;
    saved.fields = DRL__COUNT(drl__sampler_state_fields);
    saved.fixed_fields = saved.fields - DRL__SAMPLER_POSITION;
    drl__saved_add(&saved, "schedule.a", DRL_DTYPE_F64, levels, 0, sc->a);
    drl__saved_add(&saved, "schedule.s", DRL_DTYPE_F64, levels, 0, sc->s);
    drl__saved_add(&saved, "schedule.sbar", DRL_DTYPE_F64, levels, 0, sc->sbar);
    drl__saved_add(&saved, "labels", DRL_DTYPE_I32, n, 0, s->labels);
    drl__saved_add(&saved, "known", DRL_DTYPE_F32, n, s->size, s->known);
    drl__saved_add(&saved, "mask", DRL_DTYPE_U8, n, s->size, s->mask);
    drl__saved_add(&saved, "resample_from", DRL_DTYPE_I32, passes, 0, s->resample_from);
    saved.fixed_tensors = saved.tensors;
    drl__saved_add(&saved, "y", DRL_DTYPE_F32, n, s->size, s->y);
    drl__saved_add(&saved, "x_next", DRL_DTYPE_F32, n, s->size, s->x_next);
    return saved;
}

DRL__CALL(drl_status, drl_sampler_save,
    (const drl_sampler *s, void *dst, size_t capacity, size_t *written),
    (s, dst, capacity, written))
{
    drl__saved saved;
    if (!s) return drl__fail(NULL, DRL_E_ARGUMENT, "drl_sampler_save: no sampler");
    saved = drl__sampler_saved(s);
    return drl__saved_write(s->ctx, "drl_sampler_save", &saved, s, dst, capacity, written);
}

/* Whether a sampler like s can be at this pass, level and step. */
static drl_status drl__sampler_check_position(const drl_sampler *s, int pass, int level, int step)
{
    int steps = level < 0 ? 1 : s->steps;   /* 0 is the only step when no level is left */
    int lowest, from;
    if (pass < 0 || pass > s->resample_count)
        return drl__fail(s->ctx, DRL_E_FORMAT, "drl_sampler_restore: pass is %d; 0 to %d are possible",
                         pass, s->resample_count);
    lowest = pass < s->resample_count ? 0 : -1;                 /* the last pass alone ends at -1 */
    from = drl__sampler_from(s, pass);
    if (level < lowest || level >= from)
        return drl__fail(s->ctx, DRL_E_FORMAT, "drl_sampler_restore: level is %d; %d to %d are possible",
                         level, lowest, from - 1);
    if (level > 0 && level % s->stride)
        return drl__fail(s->ctx, DRL_E_FORMAT,
                         "drl_sampler_restore: level is %d, which the stride, %d, leaves out",
                         level, s->stride);
    if (step < 0 || step >= steps)
        return drl__fail(s->ctx, DRL_E_FORMAT,
                         "drl_sampler_restore: step is %d at level %d; 0 to %d are possible",
                         step, level, steps - 1);
    return DRL_OK;
}

DRL__CALL(drl_status, drl_sampler_restore, (drl_sampler *s, const void *bytes, size_t size), (s, bytes, size))
{
    static const char who[] = "drl_sampler_restore";
    drl_safetensors *st = NULL;
    drl_sampler read;
    drl__saved saved;
    drl_status status;
    if (!s || !bytes)
        return drl__fail(s ? s->ctx : NULL, DRL_E_ARGUMENT,
                         "%s: a sampler and the bytes of a state are needed", who);
    saved = drl__sampler_saved(s);
    status = drl__saved_open(s->ctx, who, &saved, s, bytes, size, &read, &st);
    if (status == DRL_OK) status = drl__sampler_check_position(s, read.pass, read.level, read.step);
    if (status == DRL_OK) {
        drl__st_read(st, saved.tensor + saved.fixed_tensors, saved.tensors - saved.fixed_tensors);
        s->pass = read.pass;
        s->pass_seed = drl__sampler_seed(s, s->pass);
        s->level = read.level;
        s->step = read.step;
        s->proposing = 0;
        s->failed = DRL_OK;
    }
    drl_safetensors_close(st);
    return status;
}

/* -----------------------------------------------------------------------------------------------------------
 * [model.impl] - the energy networks of [Gao21] and [Zhu24], the latter's initializer, schedules and files.
 * -------------------------------------------------------------------------------------------------------- */
struct drl_model {
    drl_ctx *ctx;
    drl_model_desc desc;
    drl_net *net;                           /* the energy's */
    drl_net *initializer;                   /* NULL: none */
    drl_schedule schedule;
    double *schedule_memory;
    size_t size;                            /* floats of an image */
    double *mean, *deviation;               /* [size] of the data; NULL: not said */
    float *level;                           /* [batch] level values */
    float *f;                               /* [batch] what the network returns */
    float *df;                              /* [batch] by how much each f counts in a gradient: 1, or F / f */
};

#define DRL__UNET_RESOLUTIONS 3
#define DRL__UNET_BLOCKS_MAX  64            /* residual blocks per resolution */

/* The fields of a model's description that its file holds. Where the default is 0, drl__model_defaults
 * chooses it by other fields. */
static const drl__field drl__model_fields[] = {
    { "height",             DRL__INT,     offsetof(drl_model_desc, height), 32, 1, 65536, 0 },
    { "width",              DRL__INT,     offsetof(drl_model_desc, width), 0, 1, 65536, 0 },
    { "channels",           DRL__INT,     offsetof(drl_model_desc, channels), 1, 1, 65536, 0 },
    { "base",               DRL__INT,     offsetof(drl_model_desc, base), 32, 4, 65536, DRL__EVEN },
    { "blocks",             DRL__INT,     offsetof(drl_model_desc, blocks), 1, 1, 4096, 0 },
    { "resolutions",        DRL__INT,     offsetof(drl_model_desc, resolutions), 0,
      1, DRL_RESOLUTIONS_MAX, 0 },
    { "mult",               DRL__MULT,    offsetof(drl_model_desc, mult), 0, 0, 0, DRL__ANY },
    { "levels",             DRL__INT,     offsetof(drl_model_desc, levels), 6, 2, 1000, 0 },
    { "steps",              DRL__INT,     offsetof(drl_model_desc, steps), 0, 1, 65535, DRL__NONE },
    { "b2",                 DRL__DOUBLE,  offsetof(drl_model_desc, b2), 0, 0, 1e30, DRL__OPEN },
    { "noise_scale",        DRL__FLOAT,   offsetof(drl_model_desc, noise_scale), 0, 0, 1e30, DRL__OPEN },
    { "no_spectral",        DRL__INT,     offsetof(drl_model_desc, no_spectral), 0, 0, 0, DRL__ANY },
    { "form",               DRL__ENUM,    offsetof(drl_model_desc, form), 0, DRL_FORM_DRL, DRL_FORM_CDRL, 0 },
    { "initializer",        DRL__INT,     offsetof(drl_model_desc, initializer), 0,
      0, 65536, DRL__EVEN | DRL__NONE },
    { "initializer_blocks", DRL__INT,     offsetof(drl_model_desc, initializer_blocks), 0,
      0, DRL__UNET_BLOCKS_MAX, 0 },
    { "classes",            DRL__INT,     offsetof(drl_model_desc, classes), 0, 0, 65535, 0 },
    { "schedule",           DRL__ENUM,    offsetof(drl_model_desc, schedule), 0,
      DRL_SCHEDULE_DRL, DRL_SCHEDULE_OWN, 0 },
    { "silu",               DRL__INT,     offsetof(drl_model_desc, silu), 0, 0, 0, DRL__ANY },
    { "initializer_form",   DRL__ENUM,    offsetof(drl_model_desc, initializer_form), 0,
      DRL_INITIALIZER_RESIDUAL, DRL_INITIALIZER_VELOCITY, 0 },
    { "energy_form",        DRL__ENUM,    offsetof(drl_model_desc, energy_form), 0,
      DRL_ENERGY_PUBLISHED, DRL_ENERGY_OWN, 0 },
    { "norm_channels",      DRL__INT,     offsetof(drl_model_desc, norm_channels), 0, 1, 65536, 0 }
};

/* `batch` is chosen by each user of a model, and no file holds it (nor `trainable`, which may have any
 * value). */
static const drl__field drl__model_use_fields[] = {
    { "batch",              DRL__INT,     offsetof(drl_model_desc, batch), 32, 1, INT32_MAX, 0 }
};

#define DRL__MODEL_FIELDS_MIN 12            /* fields that every file holds; the others may be left out */

static drl_status drl__model_resolve(drl_ctx *ctx, const drl_model_desc *desc, drl_model_desc *d);

/* Reads a description from a file's text and fills in the fields that the text leaves out; 0: malformed text.
 * Values out of range are accepted here, and refused by drl__model_resolve, with a sentence. */
static int drl__model_from_text(const char *text, drl_model_desc *d)
{
    drl_model_desc full;
    size_t fields = 0;
    const char *s;
    for (s = text; *s; ++s) fields += *s == '=';
    memset(d, 0, sizeof *d);
    if (fields < DRL__MODEL_FIELDS_MIN || fields > DRL__COUNT(drl__model_fields) ||
        !drl__undescribe(drl__model_fields, fields, text, d)) return 0;
    /* files from before this field have groups of one channel */
    if (fields < DRL__COUNT(drl__model_fields)) d->norm_channels = 1;
    if (drl__model_resolve(NULL, d, &full) == DRL_OK) {
        *d = full;
        d->batch = 0;
    }
    return 1;
}

/* Writes a description as text: the first fields of the table, as few as determine all the others. */
static void drl__model_to_text(const drl_model_desc *d, char *text, size_t capacity)
{
    char whole[DRL__DESCRIBE_MAX], again[DRL__DESCRIBE_MAX];
    size_t n;
    drl__describe(drl__model_fields, DRL__COUNT(drl__model_fields), d, whole, sizeof whole);
    for (n = DRL__MODEL_FIELDS_MIN; n <= DRL__COUNT(drl__model_fields); ++n) {
        drl_model_desc first, full;
        drl__describe(drl__model_fields, n, d, text, capacity);
        if (!drl__model_from_text(text, &first)) continue;
        if (drl__model_resolve(NULL, &first, &full) != DRL_OK) continue;
        drl__describe(drl__model_fields, DRL__COUNT(drl__model_fields), &full, again, sizeof again);
        if (!strcmp(whole, again)) return;
    }
}

/* Whether the description has the program's own network and schedule where they are asked for, and only
 * there. */
static drl_status drl__model_check_own(drl_ctx *ctx, const drl_model_desc *d)
{
    int i, own = d->energy_form == DRL_ENERGY_OWN;
    if (own && !d->build)
        return drl__fail(ctx, DRL_E_ARGUMENT,
                         "model: its energy is a network of the program that made it; give its build "
                         "function");
    if (d->build && !own)
        return drl__fail(ctx, DRL_E_ARGUMENT,
                         "model: a build function goes with DRL_ENERGY_OWN; energy_form is %d",
                         (int)d->energy_form);
    own = d->schedule == DRL_SCHEDULE_OWN;
    if (own && !d->sbar)
        return drl__fail(ctx, DRL_E_ARGUMENT,
                         "model: its schedule is of the program that made it; give its sbar");
    if (d->sbar && !own)
        return drl__fail(ctx, DRL_E_ARGUMENT,
                         "model: sbar goes with DRL_SCHEDULE_OWN; schedule is %d", (int)d->schedule);
    for (i = 0; own && i <= d->levels; ++i)
        if (!(d->sbar[i] > (i ? d->sbar[i - 1] : 0.0) && d->sbar[i] <= 1))
            return drl__fail(ctx, DRL_E_ARGUMENT,
                             "model: sbar[%d] is %g; above %g and at most 1 are possible", i, d->sbar[i],
                             i ? d->sbar[i - 1] : 0.0);
    return DRL_OK;
}

/* Whether mean and deviation can be those of data. */
static drl_status drl__model_check_normal(drl_ctx *ctx, const drl_model_desc *d)
{
    size_t i, size = (size_t)d->height * (size_t)d->width * (size_t)d->channels;
    if (!d->mean != !d->deviation)
        return drl__fail(ctx, DRL_E_ARGUMENT, "model: mean and deviation of the data go together");
    for (i = 0; d->mean && i < size; ++i)
        if (!drl__finite(d->mean[i]) || !drl__finite(d->deviation[i]) || d->deviation[i] <= 0)
            return drl__fail(ctx, DRL_E_ARGUMENT,
                             "model: mean[%z] is %g and deviation[%z] is %g; finite numbers are possible, "
                             "and deviations above 0", i, d->mean[i], i, d->deviation[i]);
    return DRL_OK;
}

/* Fills in what the description leaves open. */
static void drl__model_defaults(drl_model_desc *d)
{
    static const int mult[6] = { 1, 2, 2, 2, 4, 4 };
    int i, side, cdrl, t1k, unet, own;
    if (d->build && !d->energy_form) d->energy_form = DRL_ENERGY_OWN;
    if (d->sbar && !d->schedule) d->schedule = DRL_SCHEDULE_OWN;
    cdrl = (int)d->form == DRL_FORM_CDRL;
    unet = (int)d->energy_form == DRL_ENERGY_UNET;
    own = (int)d->energy_form == DRL_ENERGY_OWN;
    if (!d->schedule) d->schedule = cdrl ? DRL_SCHEDULE_CDRL : DRL_SCHEDULE_DRL;
    t1k = d->schedule == DRL_SCHEDULE_T1K;
    if (t1k && !d->levels) d->levels = 1000;
    if (unet && !d->base) d->base = 16;
    drl__defaults(drl__model_fields, DRL__COUNT(drl__model_fields), d);
    drl__defaults(drl__model_use_fields, DRL__COUNT(drl__model_use_fields), d);
    if (!d->width) d->width = d->height;
    side = drl__max(d->height, d->width);
    if (unet || own) d->resolutions = 1;    /* of the published networks; a U-Net always has three */
    if (!d->resolutions) d->resolutions = side == 1 ? 1 : side <= 32 ? 4 : side <= 64 ? 5 : 6;
    for (i = 0; i < DRL_RESOLUTIONS_MAX; ++i) {
        if (i >= d->resolutions) d->mult[i] = 0;
        else if (!d->mult[i]) d->mult[i] = i < 6 ? mult[i] : 4;
    }
    if (!d->steps) d->steps = t1k ? -1 : unet || own ? 3 : cdrl ? 15 : 30;
    if (d->steps < 0) d->steps = -1;
    if (d->b2 == 0 && unet && !t1k) d->b2 = d->levels > 24 ? 0.3 : 0.8;
    if (d->b2 == 0) d->b2 = t1k || own ? 0.1 : cdrl ? 4e-4 : 2e-4;
    if (d->noise_scale == 0) d->noise_scale = t1k || cdrl ? 1.0f : 0.99f;
    d->silu = d->silu || unet;
    d->no_spectral = d->no_spectral || unet;
    if (d->initializer < 0) d->initializer = -1;
    if (cdrl && !d->initializer) d->initializer = 32;
    if (d->initializer > 0 && !d->initializer_blocks) d->initializer_blocks = 1;
    if (!d->initializer_form)
        d->initializer_form = d->levels < 12 ? DRL_INITIALIZER_RESIDUAL : DRL_INITIALIZER_VELOCITY;
    if (!d->norm_channels)
        d->norm_channels =
            unet || (d->initializer > 0 && d->initializer_form == DRL_INITIALIZER_VELOCITY) ? 4 : 1;
}

/* Ranges of the fields, and what they ask of one another; nothing is left open. */
static drl_status drl__model_check(drl_ctx *ctx, const drl_model_desc *d)
{
    const int cdrl = (int)d->form == DRL_FORM_CDRL, unet = (int)d->energy_form == DRL_ENERGY_UNET;
    const int own = (int)d->energy_form == DRL_ENERGY_OWN;
    drl_status status;
    int i;
    status = drl__check(ctx, DRL_E_ARGUMENT, "model", drl__model_fields, DRL__COUNT(drl__model_fields), d);
    if (status != DRL_OK) return status;
    status = drl__check(ctx, DRL_E_ARGUMENT, "model",
                        drl__model_use_fields, DRL__COUNT(drl__model_use_fields), d);
    if (status != DRL_OK) return status;
    if (d->schedule != DRL_SCHEDULE_T1K && d->levels > 500 && d->schedule != DRL_SCHEDULE_OWN)
        return drl__fail(ctx, DRL_E_ARGUMENT,
                         "model: levels is %d; up to 500 are possible, and 1000 with DRL_SCHEDULE_T1K",
                         d->levels);
    for (i = 0; i < d->resolutions; ++i)
        if (d->mult[i] < 1 || d->mult[i] > 64)
            return drl__fail(ctx, DRL_E_ARGUMENT, "model: mult[%d] is %d; 1 to 64 are possible",
                             i, d->mult[i]);
    if (d->height % (1 << (d->resolutions - 1)) || d->width % (1 << (d->resolutions - 1)))
        return drl__fail(ctx, DRL_E_SHAPE,
                         "model: %d x %d cannot be halved %d times, as %d resolutions need; pad the images "
                         "or ask for fewer",
                         d->height, d->width, d->resolutions - 1, d->resolutions);
    if (d->initializer > 0 && d->initializer < 4)
        return drl__fail(ctx, DRL_E_ARGUMENT, "model: initializer is %d; its width is at least 4",
                         d->initializer);
    if (d->initializer > 0 && !cdrl)
        return drl__fail(ctx, DRL_E_ARGUMENT, "model: initializer is %d, and plain DRL has none",
                         d->initializer);
    if (d->classes && !cdrl && !own)
        return drl__fail(ctx, DRL_E_ARGUMENT, "model: classes is %d, and plain DRL has none", d->classes);
    if (unet && !cdrl)
        return drl__fail(ctx, DRL_E_ARGUMENT,
                         "model: energies of a U-Net come with the form CDRL; the form is DRL");
    status = drl__model_check_own(ctx, d);
    if (status == DRL_OK) status = drl__model_check_normal(ctx, d);
    if (status != DRL_OK) return status;
    if (unet && d->blocks > DRL__UNET_BLOCKS_MAX)
        return drl__fail(ctx, DRL_E_ARGUMENT, "model: blocks is %d; a U-Net has up to %d per resolution",
                         d->blocks, DRL__UNET_BLOCKS_MAX);
    if ((unet || d->initializer > 0) && drl__max(d->height, d->width) > 1 &&
        (d->height % 4 || d->width % 4))
        return drl__fail(ctx, DRL_E_SHAPE,
                         "model: %d x %d cannot be halved twice, as %s needs; pad the images or ask for none",
                         d->height, d->width, unet ? "the energy's U-Net" : "the initializer");
    return DRL_OK;
}

/* The description with its defaults, checked; *d is complete on success. ctx NULL: failures leave no
 * sentence. */
static drl_status drl__model_resolve(drl_ctx *ctx, const drl_model_desc *desc, drl_model_desc *d)
{
    memset(d, 0, sizeof *d);
    if (desc) *d = *desc;
    if (drl__zeroed(ctx, "drl_model_desc", d->canary) != DRL_OK) return DRL_E_ARGUMENT;
    drl__model_defaults(d);
    return drl__model_check(ctx, d);
}

/* The layer "prefix.name"; *options holds the fields other than name, out_channels and kernel. */
static drl_value drl__model_layer(drl_net *net, drl_value x, const char *prefix, const char *name,
                                  int out_channels, int kernel, const drl_layer_desc *options)
{
    char text[64];
    drl_layer_desc layer = *options;
    drl__text(text, sizeof text, "%s.%s", prefix, name);
    layer.name = text;
    layer.out_channels = out_channels;
    layer.kernel = kernel;
    return drl_net_conv2d(net, x, &layer);
}

/* -- the U-Net of [Zhu24]: the initializer, and the energy of DRL_ENERGY_UNET -- */

typedef struct drl__unet {
    drl_net *net;
    const char *root;                       /* first part of every name: "initializer" or "energy" */
    drl_value embedding;                    /* level and class, 1 x 1 x 4 width; every block reads it */
    int width;                              /* channels of every block */
    int groups;                             /* of group norms */
    float dropout;                          /* probability; 0: none */
} drl__unet;

static drl_value drl__unet_layer(drl_net *net, drl_value x, const char *prefix, const char *name,
                                 int out_channels, int kernel, float init_scale)
{
    drl_layer_desc options;
    memset(&options, 0, sizeof options);
    options.init_scale = init_scale;
    return drl__model_layer(net, x, prefix, name, out_channels, kernel, &options);
}

static drl_value drl__unet_norm(const drl__unet *u, drl_value x, const char *prefix, const char *name)
{
    char text[64];
    drl__text(text, sizeof text, "%s.%s", prefix, name);
    return drl_net_group_norm(u->net, x, text, u->groups, 1e-6f);
}

static drl_value drl__unet_resample(const drl__unet *u, drl_value x, int resample)
{
    return resample < 0 ? drl_net_avgpool2(u->net, x) : resample > 0 ? drl_net_upsample2(u->net, x) : x;
}

/* A residual block: x + conv2(dropout(silu(scale_shift(norm2(conv1(silu(norm1(x)))), mlp(embedding))))).
 * Where x has other channels than the result, it is added through a 1x1 convolution. resample: -1 halves the
 * sides of both terms before conv1, 1 doubles them, 0 keeps them. */
static drl_value drl__unet_block(const drl__unet *u, drl_value x, const char *prefix, int resample)
{
    drl_net *net = u->net;
    drl_value h = drl_net_act(net, drl__unet_norm(u, x, prefix, "norm1"), DRL_ACT_SILU);
    h = drl__unet_layer(net, drl__unet_resample(u, h, resample), prefix, "conv1", u->width, 3, 0);
    x = drl__unet_resample(u, x, resample);
    h = drl__unet_norm(u, h, prefix, "norm2");
    h = drl_net_scale_shift(net, h, drl__unet_layer(net, u->embedding, prefix, "mlp.1", 2 * u->width, 1, 0));
    h = drl_net_act(net, h, DRL_ACT_SILU);
    if (u->dropout > 0) h = drl_net_dropout(net, h, u->dropout);
    h = drl__unet_layer(net, h, prefix, "conv2", u->width, 3, -1);
    if (x.c != u->width) x = drl__unet_layer(net, x, prefix, "res_conv", u->width, 1, 0);
    return drl_net_add(net, h, x);
}

static drl_value drl__unet_attention(const drl__unet *u, drl_value x, const char *prefix)
{
    drl_value h = drl__unet_norm(u, x, prefix, "norm");
    h = drl_net_attention(u->net, drl__unet_layer(u->net, h, prefix, "to_qkv", 3 * u->width, 1, 0));
    return drl_net_add(u->net, drl__unet_layer(u->net, h, prefix, "to_out", u->width, 1, -1), x);
}

/* A residual block, then attention where the feature map is 16x16 or 8x8. path: "downs" or "ups". *number:
 * of the next block or attention within its resolution, a part of its name. */
static drl_value drl__unet_stage(const drl__unet *u, drl_value x, const char *path, int resolution,
                                 int *number)
{
    char name[48];
    drl__text(name, sizeof name, "%s.%s.%d.%d", u->root, path, resolution, (*number)++);
    x = drl__unet_block(u, x, name, 0);
    if (x.h != x.w || (x.h != 16 && x.h != 8)) return x;
    drl__text(name, sizeof name, "%s.%s.%d.%d", u->root, path, resolution, (*number)++);
    return drl__unet_attention(u, x, name);
}

/* A residual block for plain vectors: x + conv2(silu(scale_shift(conv1(silu(x)), mlp(embedding)))). It has
 * no norms, since a norm over one pixel would erase its channels, and no dropout, since means in few
 * dimensions need every channel. */
static drl_value drl__dense_block(const drl__unet *u, drl_value x, const char *prefix)
{
    drl_net *net = u->net;
    drl_value h = drl__unet_layer(net, drl_net_act(net, x, DRL_ACT_SILU), prefix, "conv1", u->width, 1, 0);
    h = drl_net_scale_shift(net, h, drl__unet_layer(net, u->embedding, prefix, "mlp.1", 2 * u->width, 1, 0));
    h = drl__unet_layer(net, drl_net_act(net, h, DRL_ACT_SILU), prefix, "conv2", u->width, 1, -1);
    return drl_net_add(net, h, x);
}

/* The level value and the class, as 4 width channels. */
static drl_value drl__unet_embedding(const drl__unet *u, int classes)
{
    drl_net *net = u->net;
    int channels = 4 * u->width;
    drl_value e = drl__unet_layer(net, drl_net_level(net, u->width), u->root, "time_mlp.1", channels, 1, 0);
    e = drl__unet_layer(net, drl_net_act(net, e, DRL_ACT_SILU), u->root, "time_mlp.3", channels, 1, 0);
    if (classes) {
        drl_value label = drl_net_label(net, classes);
        e = drl_net_add(net, e, drl__unet_layer(net, label, u->root, "y_mlp.0", channels, 1, 0));
    }
    return drl_net_act(net, e, DRL_ACT_SILU);
}

/* net(x, level, class) of [Zhu24]: a U-Net, or dense blocks for plain vectors. The level value is that of x.
 * The last layer is zero at first. */
static drl_value drl__unet_build(drl__unet *u, const drl_model_desc *d, int blocks, drl_value *input)
{
    drl_net *net = u->net;
    drl_value skip[DRL__UNET_RESOLUTIONS * (DRL__UNET_BLOCKS_MAX + 1)], x, h;
    char name[48];
    int skips = 0, i, j, number, vector = d->height == 1 && d->width == 1, width = u->width;
    *input = x = drl_net_input(net, d->height, d->width, d->channels);
    u->groups = 32;
    while (u->groups > 1 && (width % u->groups || width / u->groups < d->norm_channels)) --u->groups;
    u->embedding = drl__unet_embedding(u, d->classes);
    h = skip[skips++] = drl__unet_layer(net, x, u->root, "init_conv", width, vector ? 1 : 3, 0);
    if (vector) {
        for (j = 0; j < blocks; ++j) {
            drl__text(name, sizeof name, "%s.blocks.%d", u->root, j);
            h = drl__dense_block(u, h, name);
        }
        h = drl_net_act(net, h, DRL_ACT_SILU);
        return drl__unet_layer(net, h, u->root, "final_conv", d->channels, 1, -1);
    }
    for (i = 0; i < DRL__UNET_RESOLUTIONS; ++i) {
        for (j = number = 0; j < blocks; ++j) h = skip[skips++] = drl__unet_stage(u, h, "downs", i, &number);
        if (i + 1 == DRL__UNET_RESOLUTIONS) break;
        drl__text(name, sizeof name, "%s.downs.%d.%d", u->root, i, number);
        h = skip[skips++] = drl__unet_block(u, h, name, -1);
    }
    drl__text(name, sizeof name, "%s.mid_block1", u->root);
    h = drl__unet_block(u, h, name, 0);
    drl__text(name, sizeof name, "%s.mid_attn", u->root);
    h = drl__unet_attention(u, h, name);
    drl__text(name, sizeof name, "%s.mid_block2", u->root);
    h = drl__unet_block(u, h, name, 0);
    for (i = 0; i < DRL__UNET_RESOLUTIONS; ++i) {
        for (j = number = 0; j < blocks + 1; ++j)
            h = drl__unet_stage(u, drl_net_concat(net, h, skip[--skips]), "ups", i, &number);
        if (i + 1 == DRL__UNET_RESOLUTIONS) break;
        drl__text(name, sizeof name, "%s.ups.%d.%d", u->root, i, number);
        h = drl__unet_block(u, h, name, 1);
    }
    h = drl_net_act(net, drl__unet_norm(u, h, u->root, "norm"), DRL_ACT_SILU);
    return drl__unet_layer(net, h, u->root, "final_conv", d->channels, 3, -1);
}

/* The initializer: x + net(x) in the residual form, net(x) in the velocity form (drl_initializer_form). */
static void drl__initializer_build(drl_net *net, void *user)
{
    const drl_model_desc *d = (const drl_model_desc *)user;
    drl_value x, h;
    drl__unet u;
    memset(&u, 0, sizeof u);
    u.net = net;
    u.root = "initializer";
    u.width = d->initializer;
    u.dropout = 0.1f;
    h = drl__unet_build(&u, d, d->initializer_blocks, &x);
    if (d->initializer_form != DRL_INITIALIZER_VELOCITY) drl_net_add(net, h, x);
}

/* The energy of DRL_ENERGY_UNET: f(y, t) = -|y + net(y)|^2 / 2, without dropout: F is a function.
 * It starts at net = 0, the standard normal density. With an output drawn at random F has steep cliffs, and
 * training does not get rid of them: on game tiles one image in 44 of the first 4000 was left with more than
 * twice its noise, now none is (bench/RESULTS.md). */
static void drl__energy_unet(drl_net *net, const drl_model_desc *d)
{
    drl_value y, h;
    drl__unet u;
    memset(&u, 0, sizeof u);
    u.net = net;
    u.root = "energy";
    u.width = d->base;
    h = drl__unet_build(&u, d, d->blocks, &y);
    h = drl_net_add(net, h, y);
    drl_net_spatial_sum(net, drl_net_dot(net, h, h), -0.5f);
}

/* The published energies. f(x, t) of [Gao21]: wide residual blocks without normalisation, to each of which
 * the level is added, and an inner product of features and level at the end. [Zhu24] differs in the first
 * weights and the norm of conv2, an activation behind temb_map, the class, a head without bias, and in all
 * names: blocks and poolings are numbered together. */
static void drl__energy_build(drl_net *net, void *user)
{
    const drl_model_desc *d = (const drl_model_desc *)user;
    int cdrl = d->form == DRL_FORM_CDRL, i, j;
    int side = d->height == 1 && d->width == 1 ? 1 : 3;         /* of kernels; vectors have dense layers */
    drl_layer_desc unit, cap, head;         /* spectral norm 1; at most 1, in plain DRL; none */
    drl_value x, e, h, p;
    drl_act act = d->silu ? DRL_ACT_SILU : DRL_ACT_LEAKY_RELU;
    if (d->energy_form == DRL_ENERGY_UNET) {
        drl__energy_unet(net, d);
        return;
    }
    x = drl_net_input(net, d->height, d->width, d->channels);
    memset(&unit, 0, sizeof unit);
    unit.spectral = d->no_spectral ? DRL_SPECTRAL_NONE : DRL_SPECTRAL_UNIT;
    unit.keep_norm = cdrl;
    cap = unit;
    /* [Gao21] starts conv2 near zero (variance 1e-10); short runs would spend most of their steps on
     * growing it */
    if (!cdrl && !d->no_spectral) cap.spectral = DRL_SPECTRAL_CAP;
    memset(&head, 0, sizeof head);
    head.no_bias = cdrl;
    e = drl__model_layer(net, drl_net_level(net, d->base), "energy", "temb_map1", 4 * d->base, 1, &unit);
    e = drl__model_layer(net, drl_net_act(net, e, act), "energy", "temb_map2", 4 * d->base, 1, &unit);
    if (d->classes) {
        p = drl__model_layer(net, drl_net_label(net, d->classes), "energy", "y_map", 4 * d->base, 1, &unit);
        e = drl_net_add(net, e, p);
    }
    e = drl_net_act(net, e, act);
    x = drl__model_layer(net, x, "energy", cdrl ? "module_list.0" : "conv_in", d->base, side, &unit);
    for (i = 0; i < d->resolutions; ++i) {
        int c = d->base * d->mult[i];
        for (j = 0; j < d->blocks; ++j) {
            char block[48], gain[64];
            if (cdrl) drl__text(block, sizeof block, "energy.module_list.%d", 1 + i * (d->blocks + 1) + j);
            else drl__text(block, sizeof block, "energy.level%d.block%d", i, j);
            drl__text(gain, sizeof gain, "%s.g", block);
            h = drl__model_layer(net, drl_net_act(net, x, act), block, "conv1", c, side, &unit);
            p = drl__model_layer(net, e, block, "temb_map", c, 1, &unit);
            h = drl_net_shift(net, h, cdrl ? drl_net_act(net, p, act) : p);
            h = drl__model_layer(net, drl_net_act(net, h, act), block, "conv2", c, side, &cap);
            h = drl__net_gain(net, h, gain, cdrl ? 4 : 1);
            if (x.c != c) x = drl__model_layer(net, x, block, "short_cut", c, side, &unit);
            x = drl_net_add(net, h, x);
        }
        if (i + 1 < d->resolutions) x = drl_net_avgpool2(net, x);
    }
    h = drl_net_spatial_sum(net, drl_net_act(net, x, d->silu ? act : DRL_ACT_RELU), 1.0f);
    drl_net_dot(net, h, drl__model_layer(net, e, "energy", "temb_final", h.c, 1, &head));
}

/* The energy's build function, and what it is called with. */
static drl_net_build_fn drl__model_energy_build(drl_model_desc *d, void **user)
{
    *user = d->build ? d->build_user : d;
    return d->build ? d->build : drl__energy_build;
}

static void drl__model_net_desc(const drl_model_desc *d, drl_net_desc *n)
{
    memset(n, 0, sizeof *n);
    n->batch = d->batch;
    n->modes = 1 << DRL_NET_FORWARD | 1 << DRL_NET_INPUT_GRAD | (d->trainable ? 1 << DRL_NET_PARAM_GRAD : 0);
}

/* The initializer needs no gradient by its images. */
static void drl__initializer_net_desc(const drl_model_desc *d, drl_net_desc *n)
{
    drl__model_net_desc(d, n);
    n->modes &= ~(1 << DRL_NET_INPUT_GRAD);
}

static size_t drl__model_place(drl_model *m, const drl_model_desc *d, void *block)
{
    size_t total = 0, batch = (size_t)d->batch;
    drl__place_array(block, &total, 1, sizeof *m);
    m->schedule_memory = (double *)drl__place_array(block, &total, 5 * ((size_t)d->levels + 1),
                                                    sizeof(double));
    if (d->mean) {
        size_t size = (size_t)d->height * (size_t)d->width * (size_t)d->channels;
        m->mean = (double *)drl__place_array(block, &total, size, sizeof(double));
        m->deviation = (double *)drl__place_array(block, &total, size, sizeof(double));
    }
    m->level = drl__place_floats(block, &total, batch);
    m->f = drl__place_floats(block, &total, batch);
    m->df = drl__place_floats(block, &total, batch);
    return total;
}

DRL__CALL(drl_status, drl_model_size,
    (drl_ctx *ctx, const drl_model_desc *desc, size_t *bytes),
    (ctx, desc, bytes))
{
    drl_model sizes;
    drl_model_desc d;
    drl_net_desc n;
    drl_net_build_fn build;
    void *user;
    drl_status status;
    size_t net_bytes = 0, initializer_bytes = 0, total, sum = 0;
    if (!ctx || !bytes)
        return drl__fail(ctx, DRL_E_ARGUMENT,
                         "drl_model_size: a context and a place for the result are needed");
    status = drl__model_resolve(ctx, desc, &d);
    if (status != DRL_OK) return status;
    drl__model_net_desc(&d, &n);
    build = drl__model_energy_build(&d, &user);
    status = drl_net_size(ctx, build, user, &n, &net_bytes);
    drl__initializer_net_desc(&d, &n);
    if (status == DRL_OK && d.initializer > 0)
        status = drl_net_size(ctx, drl__initializer_build, &d, &n, &initializer_bytes);
    total = drl__model_place(&sizes, &d, NULL);
    if (status != DRL_OK) return status;
    if (total > SIZE_MAX / 2 || !drl__add_fits(net_bytes, initializer_bytes, &sum) ||
        !drl__add_fits(sum, drl__piece_bytes(total), &sum))
        return drl__fail(ctx, DRL_E_MEMORY,
                         "drl_model_size: networks of %z and %z bytes do not fit the address space",
                         net_bytes, initializer_bytes);
    *bytes = sum;
    return DRL_OK;
}

DRL_API void drl_model_destroy(drl_model *m)
{
    if (!m) return;
    drl_net_destroy(m->initializer);
    drl_net_destroy(m->net);
    drl__free(m->ctx, m);
}

/* memory [5 * (levels + 1)]: the schedule's arrays. */
static void drl__model_schedule(const drl_model_desc *d, double *memory, drl_schedule *schedule)
{
    if (d->schedule == DRL_SCHEDULE_OWN) drl_schedule_of(d->sbar, d->levels, d->b2, memory, schedule);
    else if (d->schedule == DRL_SCHEDULE_CDRL) drl__schedule_cdrl(d->levels, memory, schedule);
    else if (d->schedule == DRL_SCHEDULE_SHIFTED) drl__schedule_shifted(d->levels, memory, schedule);
    else if (d->schedule == DRL_SCHEDULE_T1K) drl__schedule_t1k(d->levels, memory, schedule);
    else drl__schedule_drl(d->levels, memory, schedule);
    schedule->b2 = d->b2;
    if (d->energy_form != DRL_ENERGY_PUBLISHED && d->schedule != DRL_SCHEDULE_T1K)
        schedule->rule = DRL_STEP_PROPOSAL;
}

/* Whether a program's own network fits the description. */
static drl_status drl__model_net_fits(const drl_model_desc *d, const drl_net *net)
{
    const drl__op *input = &net->op[0], *output = &net->op[net->op_count - 1];
    if (input->h != d->height || input->w != d->width || input->c != d->channels)
        return drl__fail(net->ctx, DRL_E_SHAPE,
                         "model: the network that build makes takes images of %d x %d x %d, the model has "
                         "%d x %d x %d",
                         input->h, input->w, input->c, d->height, d->width, d->channels);
    if (output->h != 1 || output->w != 1 || output->c != 1)
        return drl__fail(net->ctx, DRL_E_SHAPE,
                         "model: the network that build makes has an output of %d x %d x %d; an energy is "
                         "one number",
                         output->h, output->w, output->c);
    if (net->classes != d->classes)
        return drl__fail(net->ctx, DRL_E_SHAPE,
                         "model: the network that build makes has labels up to %d; classes is %d",
                         net->classes, d->classes);
    return DRL_OK;
}

/* The tables of a model's networks; net[1] stays NULL without an initializer. The description in a hostile
 * file can ask for any network, so the file must hold exactly the tensors described, and until this is
 * known only tables are allocated. */
static drl_status drl__model_build(drl_ctx *ctx, drl_model_desc *d, const drl_safetensors *st,
                                   drl_net *net[2])
{
    size_t tensors, in_file = st ? st->count : SIZE_MAX;
    drl_net_desc n;
    void *user;
    drl_net_build_fn build = drl__model_energy_build(d, &user);
    drl_status status;
    drl__model_net_desc(d, &n);
    status = drl__net_build(ctx, build, user, &n, in_file, &net[0]);
    if (status == DRL_OK && d->build) status = drl__model_net_fits(d, net[0]);
    drl__initializer_net_desc(d, &n);
    if (status == DRL_OK && d->initializer > 0)
        status = drl__net_build(ctx, drl__initializer_build, d, &n, in_file, &net[1]);
    if (status != DRL_OK || !st) return status;
    tensors = (size_t)drl__net_tensors(net[0]) + (net[1] ? (size_t)drl__net_tensors(net[1]) : 0);
    tensors += d->mean ? 2 : 0;
    if (tensors != in_file)
        return drl__fail(ctx, DRL_E_FORMAT, "model file: it holds %z tensors, its description needs %z",
                         in_file, tensors);
    status = drl__net_fits(net[0], st);
    return status == DRL_OK && net[1] ? drl__net_fits(net[1], st) : status;
}

/* A model whose weights are still to be drawn, or read from the file st. *d: in full. */
static drl_status drl__model_new(drl_ctx *ctx, drl_model_desc *d, const drl_safetensors *st, drl_model **out)
{
    drl_model sizes, *m;
    drl_net *net[2] = { NULL, NULL };
    size_t total;
    int i;
    drl_status status = drl__model_build(ctx, d, st, net);
    for (i = 0; i < 2 && status == DRL_OK; ++i) {
        if (!net[i]) continue;
        status = drl__net_plan(net[i]);
        if (status == DRL_OK) status = drl__net_allocate(net[i]);
    }
    total = drl__model_place(&sizes, d, NULL);
    m = status == DRL_OK ? (drl_model *)drl__alloc(ctx, total) : NULL;
    if (!m) {
        drl_net_destroy(net[0]);
        drl_net_destroy(net[1]);
        return status == DRL_OK ? DRL_E_MEMORY : status;
    }
    memset(m, 0, total);
    drl__model_place(m, d, m);
    m->ctx = ctx;
    m->desc = *d;
    m->net = net[0];
    m->initializer = net[1];
    m->size = (size_t)d->height * (size_t)d->width * (size_t)d->channels;
    drl__model_schedule(d, m->schedule_memory, &m->schedule);
    if (d->sbar) m->desc.sbar = m->schedule.sbar;
    if (d->mean) {
        memcpy(m->mean, d->mean, m->size * sizeof(double));
        memcpy(m->deviation, d->deviation, m->size * sizeof(double));
        m->desc.mean = m->mean;
        m->desc.deviation = m->deviation;
    }
    *out = m;
    return DRL_OK;
}

DRL__CALL(drl_status, drl_model_create,
    (drl_ctx *ctx, const drl_model_desc *desc, uint64_t seed, drl_model **out),
    (ctx, desc, seed, out))
{
    drl_model_desc d;
    drl_status status;
    if (!ctx || !out)
        return drl__fail(ctx, DRL_E_ARGUMENT,
                         "drl_model_create: a context and a place for the result are needed");
    status = drl__model_resolve(ctx, desc, &d);
    if (status == DRL_OK) status = drl__model_new(ctx, &d, NULL, out);
    if (status != DRL_OK) return status;
    drl_net_init((*out)->net, seed);
    drl_net_init((*out)->initializer, ~seed);                   /* other random numbers than the energy's */
    return DRL_OK;
}

DRL_API drl_status drl_model_describe(const drl_model *m, drl_model_desc *desc)
{
    if (!m || !desc)
        return drl__fail(m ? m->ctx : NULL, DRL_E_ARGUMENT,
                         "drl_model_describe: a model and a place for the result are needed");
    *desc = m->desc;
    return DRL_OK;
}

DRL_API drl_net            *drl_model_net(drl_model *m) { return m ? m->net : NULL; }
DRL_API drl_net            *drl_model_initializer(drl_model *m) { return m ? m->initializer : NULL; }
DRL_API const drl_schedule *drl_model_schedule(const drl_model *m) { return m ? &m->schedule : NULL; }

/* f of n <= batch points y at level values v, and the gradient of sum_i scale[i] f(y_i) unless it is NULL. */
static drl_status drl__model_eval(drl_model *m, int n, const float *y, const float *v, const int *label,
                                  const float *scale, float *f, float *gradient)
{
    drl_batch b = drl_batch_of(n, y, v);
    b.label = label;
    return gradient ? drl_net_input_grad(m->net, &b, scale, f, gradient) : drl_net_forward(m->net, &b, f);
}

/* Refuses labels out of range. It is called before anything is computed: a failure leaves no partial
 * result. */
static drl_status drl__model_check_labels(drl_model *m, int n, const int *label)
{
    int i;
    for (i = 0; label && m->desc.classes && i < n; ++i)
        if (label[i] < 0 || label[i] > m->desc.classes)
            return drl__fail(m->ctx, DRL_E_ARGUMENT, "model: label %d of image %d; 0 to %d are possible",
                             label[i], i, m->desc.classes);
    return DRL_OK;
}

/* What the published networks return: f [n] and df/dy [n * size] (each NULL if not wanted) of n points y, at
 * any real level values. */
static drl_status drl__model_f(drl_model *m, int n, const float *y, const float *level, const int *label,
                               float *f, float *gradient)
{
    drl_status status = DRL_OK;
    int i, k;
    if (!m || n < 1 ||
        drl__bad_floats(y) ||
        drl__bad_floats(level) ||
        drl__misaligned(f) ||
        drl__misaligned(gradient))
        return drl__fail(m ? m->ctx : NULL, DRL_E_ARGUMENT,
                         "drl__model_f: a model, %d points and their level values are needed", n);
    status = drl__model_check_labels(m, n, label);
    for (i = 0; i < m->desc.batch; ++i) m->df[i] = 1.0f;
    for (i = 0; i < n && status == DRL_OK; i += k) {
        size_t at = (size_t)i * m->size;
        k = drl__min(n - i, m->desc.batch);
        status = drl__model_eval(m, k, y + at, level + i, label ? label + i : NULL, m->df, m->f,
                                 gradient ? gradient + at : NULL);
        if (f && status == DRL_OK) memcpy(f + i, m->f, (size_t)k * sizeof(float));
    }
    return status;
}

/* f / F at a level. */
static double drl__model_f_scale(const drl_model *m, int level)
{
    return m->desc.energy_form != DRL_ENERGY_PUBLISHED ? 1.0 : drl__schedule_f_scale(&m->schedule, level);
}

static drl_status drl__model_check_levels(const drl_model *m, int n, const int *level)
{
    int i;
    for (i = 0; i < n; ++i)
        if (level[i] < 0 || level[i] >= m->desc.levels)
            return drl__fail(m->ctx, DRL_E_ARGUMENT, "energy: level %d of %d", level[i], m->desc.levels);
    return DRL_OK;
}

/* drl_energy.eval of a model: F = f / f_scale and dF/dy. */
static drl_status drl__model_energy_eval(void *user, int n, const float *y, const int *level,
                                         const int *label, float *f, float *gradient)
{
    drl_model *m = (drl_model *)user;
    drl_status status = drl__model_check_levels(m, n, level);
    int i;
    if (status != DRL_OK) return status;
    for (i = 0; i < n; ++i) {
        m->level[i] = drl__schedule_level(&m->schedule, level[i]);
        m->df[i] = (float)(1.0 / drl__model_f_scale(m, level[i]));
    }
    status = drl__model_eval(m, n, y, m->level, label, m->df, m->f, gradient);
    if (status != DRL_OK) return status;
    if (f) for (i = 0; i < n; ++i) f[i] = m->f[i] * m->df[i];
    return DRL_OK;
}

/* The initializer's mean g = of_x x_{t+1} + of_net net(x_{t+1}) at level t: see drl_initializer_form. */
static void drl__initializer_mean(const drl_model *m, int level, double *of_x, double *of_net)
{
    const drl_schedule *sc = &m->schedule;
    double scale = drl_schedule_scale(sc, level), of_x0, of_next;
    *of_x = 0;                              /* in the residual form the network itself adds x */
    *of_net = 1;
    if (m->desc.initializer_form != DRL_INITIALIZER_VELOCITY) return;
    drl__schedule_posterior(sc, level, level + 1, 0, &of_x0, &of_next);
    *of_x = scale * (of_x0 * sc->abar[level + 1] + of_next);
    *of_net = -scale * of_x0 * sc->sbar[level + 1];
}

/* g holds the initializer network's output for n images x_next, and receives its mean g(x_{t+1}). */
static void drl__initializer_finish(const drl_model *m, int n, const float *x_next, const int *level,
                                    float *g)
{
    int i;
    for (i = 0; i < n && m->desc.initializer_form == DRL_INITIALIZER_VELOCITY; ++i) {
        size_t at = (size_t)i * m->size;
        double of_x, of_net;
        drl__initializer_mean(m, level[i], &of_x, &of_net);
        drl__axpby(m->ctx, m->size, (float)of_x, x_next + at, (float)of_net, g + at, g + at);
    }
}

/* drl_energy.propose of a model: the initializer's mean g(x_{t+1}) of y_t. */
static drl_status drl__model_energy_propose(void *user, int n, const float *x_next, const int *level,
                                            const int *label, float *mean)
{
    drl_model *m = (drl_model *)user;
    drl_batch b = drl_batch_of(n, x_next, m->level);
    drl_status status = drl__model_check_levels(m, n, level);
    int i;
    if (status != DRL_OK) return status;
    for (i = 0; i < n; ++i) m->level[i] = drl__schedule_level(&m->schedule, level[i] + 1);
    b.label = label;
    status = drl__net_forward_until(m->initializer, &b, mean);
    if (status == DRL_OK) drl__initializer_finish(m, n, x_next, level, mean);
    return status;
}

DRL_API drl_energy drl_model_energy(drl_model *m)
{
    drl_energy e;
    e.eval = drl__model_energy_eval;
    e.user = m;
    e.size = m ? m->size : 0;
    e.batch = m ? m->desc.batch : 0;
    e.propose = m && m->initializer ? drl__model_energy_propose : NULL;
    return e;
}

DRL__CALL(drl_status, drl_model_score,
    (drl_model *m, int level, int n, const float *x, const int *label, float *score, float *work),
    (m, level, n, x, label, score, work))
{
    drl_status status;
    double mean;
    int i;
    if (!m || drl__bad_floats(x) || drl__bad_floats(score) || drl__bad_floats(work) || n < 1)
        return drl__fail(m ? m->ctx : NULL, DRL_E_ARGUMENT,
                         "drl_model_score: a model, %d images, a place for the scores and work are needed",
                         n);
    if (!drl__schedule_has(&m->schedule, level, 0))
        return drl__fail(m->ctx, DRL_E_ARGUMENT, "drl_model_score: level %d; 0 to %d are possible",
                         level, m->desc.levels - 1);
    status = drl__model_check_labels(m, n, label);
    if (status != DRL_OK) return status;
    mean = drl_schedule_scale(&m->schedule, level) * m->schedule.abar[level];       /* of y, over x */
    drl__axpby(m->ctx, (size_t)n * m->size, (float)mean, x, 0.0f, NULL, work);
    /* scores hold the level values first: drl__model_f reads those of a batch before it writes its f */
    for (i = 0; i < n; ++i) score[i] = drl__schedule_level(&m->schedule, level);
    return drl__model_f(m, n, work, score, label, score, NULL);
}

DRL__CALL(drl_status, drl_sampler_create,
    (drl_model *m, const drl_sample_desc *desc, drl_sampler **out),
    (m, desc, out))
{
    drl_energy e;
    drl_sample_desc d;
    const drl_energy *own = desc ? desc->energy : NULL;     /* in place of the model's */
    float denoise = m && m->desc.form == DRL_FORM_CDRL ? 2.0f : 0.0f;       /* where desc->denoise is zero */
    if (!m || !out)
        return drl__fail(m ? m->ctx : NULL, DRL_E_ARGUMENT,
                         "drl_sampler_create: a model and a place for the result are needed");
    if (desc && !own) {
        drl_status status = drl__model_check_labels(m, desc->count ? desc->count : 1, desc->labels);
        if (status != DRL_OK) return status;
    }
    e = own ? *own : drl_model_energy(m);
    if (e.size != m->size)
        return drl__fail(m->ctx, DRL_E_SHAPE,
                         "drl_sampler_create: the energy has points of %z floats, the model images of %z",
                         e.size, m->size);
    if (desc && !own && desc->guidance != 0 && !m->desc.classes)
        return drl__fail(m->ctx, DRL_E_ARGUMENT,
                         "drl_sampler_create: guidance is %g, but the model has no classes",
                         (double)desc->guidance);
    memset(&d, 0, sizeof d);
    if (desc) d = *desc;
    if (!d.proposal && !e.propose && m->desc.energy_form == DRL_ENERGY_UNET) d.proposal = DRL_PROPOSAL_SCORE;
    return drl__sampler_new(m->ctx, &e, &m->schedule, &d, m->desc.steps, m->desc.noise_scale, denoise, out);
}

DRL__CALL(drl_status, drl_sample,
    (drl_model *m, const drl_sample_desc *desc, float *pixels),
    (m, desc, pixels))
{
    drl_sampler *s = NULL;
    drl_status status;
    int i;
    if (!m || drl__bad_floats(pixels))
        return drl__fail(m ? m->ctx : NULL, DRL_E_ARGUMENT,
                         "drl_sample: a model and a place for the images are needed");
    status = drl_sampler_create(m, desc, &s);
    if (status != DRL_OK) return status;
    do status = drl_sampler_run(s, 1 << 30); while (status == DRL_RUNNING);
    for (i = 0; i < s->count && status == DRL_OK; ++i)
        status = drl_sampler_image(s, i, pixels + (size_t)i * s->size);
    drl_sampler_destroy(s);
    return status;
}

/* The tensors of a file for drl_model_desc.mean and deviation: doubles, one for each number of an image. */
static const char *const drl__normal_names[2] = { "drl.mean", "drl.deviation" };

/* What a model's file is written from: one array per parameter, and the description as metadata. */
typedef struct drl__model_file {
    drl_safetensors_desc desc;
    const char *meta[2];
    char text[DRL__DESCRIBE_MAX];
    drl_array *array;                       /* the one block, and in it the scaled weights; the caller frees
                                             * it */
    float *scaled;
} drl__model_file;

/* One network's tensors as arrays. Weights are divided by their spectral norm unless the file keeps it apart:
 * `scaled` [params_size] receives the parameters as the file has them, of type dtype. The vectors of the
 * power iterations stay floats. */
static drl_status drl__model_file_net(const drl_net *net, const char *who, drl_dtype dtype, drl_array *array,
                                      float *scaled)
{
    drl_status status = DRL_OK;
    size_t k;
    int i, j;
    memcpy(scaled, net->params, net->params_size * sizeof(float));
    for (i = 0; i < net->op_count; ++i) {
        const drl__op *op = &net->op[i];
        const drl_param *p = op->info == &drl__op_conv2d && !op->keep_norm ? &net->param[op->weight] : NULL;
        if (p) for (k = 0; k < p->count; ++k) scaled[p->offset + k] *= op->weight_scale;
    }
    for (i = 0; i < drl__net_tensors(net) && status == DRL_OK; ++i) {
        const drl_param *p;
        const float *data = drl__net_tensor(net, i, &p);
        size_t shape[4];
        for (j = 0; j < p->rank; ++j) shape[j] = (size_t)p->shape[j];
        if (i < net->param_count) data = scaled + p->offset;
        array[i] = drl_array_of(p->name, DRL_DTYPE_F32, p->rank, shape, data);
        if (i < net->param_count && dtype != DRL_DTYPE_F32)
            status = drl__array_halve(net->ctx, who, &array[i], dtype, scaled + p->offset);
    }
    return status;
}

static size_t drl__model_file_place(drl__model_file *file, const drl_model *m, void *block)
{
    size_t total = 0, arrays = (size_t)drl__net_tensors(m->net), params = m->net->params_size;
    if (m->initializer) {
        arrays += (size_t)drl__net_tensors(m->initializer);
        params += m->initializer->params_size;
    }
    if (m->mean) arrays += 2;
    file->array = (drl_array *)drl__place_array(block, &total, arrays, sizeof(drl_array));
    file->scaled = drl__place_floats(block, &total, params);
    file->desc.count = arrays;
    return total;
}

static drl_status drl__model_file_make(drl_model *m, const char *who, drl_dtype dtype,
                                       drl__model_file *file)
{
    drl_status status;
    const drl_net *net = m->net, *init = m->initializer;
    drl_model_desc d = m->desc;
    void *block;
    if (dtype != DRL_DTYPE_F32 && dtype != DRL_DTYPE_F16 && dtype != DRL_DTYPE_BF16)
        return drl__fail(m->ctx, DRL_E_ARGUMENT, "%s: dtype is %d; weights are saved as F32, F16 or BF16",
                         who, (int)dtype);
    memset(file, 0, sizeof *file);
    block = drl__alloc(m->ctx, drl__model_file_place(file, m, NULL));
    if (!block) return DRL_E_MEMORY;
    drl__model_file_place(file, m, block);
    status = drl__model_file_net(net, who, dtype, file->array, file->scaled);
    if (status == DRL_OK && init)
        status = drl__model_file_net(init, who, dtype, file->array + drl__net_tensors(net),
                                     file->scaled + net->params_size);
    if (status != DRL_OK) {
        drl__free(m->ctx, block);
        return status;
    }
    if (m->mean) {
        drl_array *last = file->array + file->desc.count - 2;
        last[0] = drl_array_of(drl__normal_names[0], DRL_DTYPE_F64, 1, &m->size, m->mean);
        last[1] = drl_array_of(drl__normal_names[1], DRL_DTYPE_F64, 1, &m->size, m->deviation);
    }
    if (d.form == DRL_FORM_DRL) d.no_spectral = 1;              /* the norm is in the file's weights */
    drl__model_to_text(&d, file->text, sizeof file->text);
    file->meta[0] = "drl.model";
    file->meta[1] = file->text;
    file->desc.arrays = file->array;
    file->desc.meta = file->meta;
    file->desc.meta_count = 1;
    return DRL_OK;
}

DRL__CALL(drl_status, drl_model_save_memory,
    (drl_model *m, drl_dtype dtype, void *dst, size_t capacity, size_t *written),
    (m, dtype, dst, capacity, written))
{
    drl__model_file file;
    drl_status status;
    if (!m) return drl__fail(NULL, DRL_E_ARGUMENT, "drl_model_save_memory: no model");
    status = drl__model_file_make(m, "drl_model_save_memory", dtype, &file);
    if (status != DRL_OK) return status;
    status = drl__st_write_memory(m->ctx, "drl_model_save_memory", &file.desc, dst, capacity, written);
    drl__free(m->ctx, file.array);
    return status;
}

/* Both networks' tensors; drl__net_fits has found that the file holds them. */
static drl_status drl__model_read(drl_model *m, const drl_safetensors *st)
{
    drl_status status = drl__net_read(m->net, st);
    return status == DRL_OK && m->initializer ? drl__net_read(m->initializer, st) : status;
}

DRL__CALL(drl_status, drl_model_load_weights, (drl_model *m, const drl_safetensors *st), (m, st))
{
    drl_status status;
    if (!m || !st)
        return drl__fail(m ? m->ctx : NULL, DRL_E_ARGUMENT,
                         "drl_model_load_weights: a model and an open file are needed");
    status = drl__net_fits(m->net, st);
    if (status == DRL_OK && m->initializer) status = drl__net_fits(m->initializer, st);
    return status == DRL_OK ? drl__model_read(m, st) : status;
}

/* d->mean, d->deviation <- those of the file, in a block that the caller frees; all NULL if it has none. */
static drl_status drl__model_file_normal(drl_ctx *ctx, const drl_safetensors *st, drl_model_desc *d,
                                         double **block)
{
    const drl_array *a[2];
    size_t i, size = (size_t)d->height * (size_t)d->width * (size_t)d->channels;
    int k;
    *block = NULL;
    for (k = 0; k < 2; ++k) a[k] = drl_safetensors_find(st, drl__normal_names[k]);
    if (!a[0] && !a[1]) return DRL_OK;
    for (k = 0; k < 2; ++k)
        if (!a[k] || a[k]->dtype != DRL_DTYPE_F64 || a[k]->rank != 1 || a[k]->shape[0] != size || !size)
            return drl__fail(ctx, DRL_E_FORMAT, "model file: '%s' is missing, or not %z numbers of F64",
                             drl__normal_names[k], size);
    *block = (double *)drl__alloc(ctx, a[0]->bytes + a[1]->bytes);
    if (!*block) return DRL_E_MEMORY;
    for (i = 0; i < 2 * size; ++i) (*block)[i] = drl__array_double(a[i / size], i % size);
    d->mean = *block;
    d->deviation = *block + size;
    return DRL_OK;
}

static drl_status drl__model_from_file(drl_ctx *ctx, const drl_safetensors *st, const drl_model_desc *use,
                                       drl_model **out)
{
    const char *text = drl__safetensors_meta(st, "drl.model");
    drl_model_desc read, d;
    drl_model *m = NULL;
    double *normal;
    drl_status status;
    if (!text || !drl__model_from_text(text, &read))
        return drl__fail(ctx, DRL_E_FORMAT, "model file: its metadata has %s \"drl.model\"",
                         text ? "a malformed" : "no");
    if (use) {
        read.batch = use->batch;
        read.trainable = use->trainable;
        read.canary = use->canary;
        if (read.energy_form == DRL_ENERGY_OWN) read.build = use->build;
        read.build_user = use->build_user;
        if (read.schedule == DRL_SCHEDULE_OWN) read.sbar = use->sbar;
        if (read.sbar && read.levels != use->levels)
            return drl__fail(ctx, DRL_E_FORMAT, "model file: it has %d levels, the program's sbar %d",
                             read.levels, use->levels);
    }
    status = drl__model_file_normal(ctx, st, &read, &normal);
    if (status == DRL_OK) status = drl__model_resolve(ctx, &read, &d);
    /* buffers are as large as images, of which the weights say nothing: images have a limit of 2^24 floats */
    if (status == DRL_OK &&
        (uint64_t)d.height * (uint64_t)d.width * (uint64_t)d.channels > (uint64_t)1 << 24)
        status = drl__fail(ctx, DRL_E_FORMAT, "model file: images of %d x %d x %d are too large",
                           d.height, d.width, d.channels);
    if (status == DRL_OK) status = drl__model_new(ctx, &d, st, &m);
    if (normal) drl__free(ctx, normal);
    if (status != DRL_OK) return status;
    drl__net_start(m->net, 0);
    if (m->initializer) drl__net_start(m->initializer, 0);
    status = drl__model_read(m, st);
    if (status != DRL_OK) {
        drl_model_destroy(m);
        return status;
    }
    *out = m;
    return DRL_OK;
}

DRL__CALL(drl_status, drl_model_load_memory,
    (drl_ctx *ctx, const void *data, size_t size, const drl_model_desc *use, drl_model **out),
    (ctx, data, size, use, out))
{
    drl_safetensors *st = NULL;
    drl_status status;
    if (!ctx || !data || !out)
        return drl__fail(ctx, DRL_E_ARGUMENT,
                         "drl_model_load_memory: a context, memory and a place for the result are needed");
    status = drl_safetensors_open_memory(ctx, data, size, &st);
    if (status != DRL_OK) return status;
    status = drl__model_from_file(ctx, st, use, out);
    drl_safetensors_close(st);
    return status;
}

#ifndef DRL_NO_STDIO
DRL__CALL(drl_status, drl_model_save,
    (drl_model *m, drl_dtype dtype, const char *path),
    (m, dtype, path))
{
    drl__model_file file;
    drl_status status;
    if (!m || !path)
        return drl__fail(m ? m->ctx : NULL, DRL_E_ARGUMENT, "drl_model_save: a model and a path are needed");
    status = drl__model_file_make(m, "drl_model_save", dtype, &file);
    if (status != DRL_OK) return status;
    status = drl_safetensors_write_file(m->ctx, path, &file.desc);
    drl__free(m->ctx, file.array);
    return status;
}

DRL__CALL(drl_status, drl_model_load,
    (drl_ctx *ctx, const char *path, const drl_model_desc *use, drl_model **out),
    (ctx, path, use, out))
{
    drl_safetensors *st = NULL;
    drl_status status;
    if (!ctx || !path || !out)
        return drl__fail(ctx, DRL_E_ARGUMENT,
                         "drl_model_load: a context, a path and a place for the result are needed");
    status = drl_safetensors_open(ctx, path, &st);
    if (status != DRL_OK) return status;
    status = drl__model_from_file(ctx, st, use, out);
    drl_safetensors_close(st);
    return status;
}
#endif

/* -----------------------------------------------------------------------------------------------------------
 * [scorer.impl] - making a scorer evaluates the operators that do not depend on the images, and makes steps
 * of the others. Running one uses nothing of this file but what follows drl__scorer_chain, and three kernels.
 * -------------------------------------------------------------------------------------------------------- */
/* The value of an operator. */
typedef struct drl__scorer_value {
    float *constant;                        /* what it is, if it does not depend on the images; else NULL, */
    size_t place;                           /* where it lies in `work`, */
    int last;                               /* and the last operator that reads it */
} drl__scorer_value;

/* A scorer while it is made: twice, to count, and to fill what was counted. */
typedef struct drl__scorer_plan {
    drl_net *net;
    drl__scorer_value *value;               /* [operators] */
    drl_scorer_step *step;                  /* NULL while counting, as is: */
    float *weight;
    size_t weights, work;                   /* floats so far */
    int steps;
} drl__scorer_plan;

static size_t drl__op_floats(const drl__op *op) { return (size_t)op->h * (size_t)op->w * (size_t)op->c; }

static size_t drl__scorer_plan_place(drl__scorer_plan *p, void *block)
{
    size_t total = 0;
    int i;
    p->value = (drl__scorer_value *)drl__place_array(block, &total, (size_t)p->net->op_count,
                                                     sizeof *p->value);
    for (i = 0; i < p->net->op_count; ++i) {
        const drl__op *op = &p->net->op[i];
        float *constant = op->by_input ? NULL : drl__place_floats(block, &total, drl__op_floats(op));
        if (!block) continue;
        p->value[i].constant = constant;
        p->value[i].place = 0;
        p->value[i].last = i;
        if (op->a >= 0) p->value[op->a].last = i;
        if (op->b >= 0) p->value[op->b].last = i;
    }
    return total;
}

/* Runs the operators that do not depend on the images, one by one. */
static void drl__scorer_constants(const drl__scorer_plan *p, const drl_batch *batch)
{
    drl_net *net = p->net;
    int i;
    drl__net_forget(net);
    drl__arena_open(net);
    for (i = 0; i < net->op_count; ++i) {
        const drl__op *op = &net->op[i], *a = op->a < 0 ? NULL : &net->op[op->a];
        const drl__op *b = op->b < 0 ? NULL : &net->op[op->b];
        drl__op_call c;
        if (op->by_input) continue;
        memset(&c, 0, sizeof c);
        c.ctx = net->ctx;
        c.op = op;
        if (a) c.a = drl_tensor_of(p->value[op->a].constant, 1, a->h, a->w, a->c);
        if (b) c.b = drl_tensor_of(p->value[op->b].constant, 1, b->h, b->w, b->c);
        c.y = drl_tensor_of(p->value[i].constant, 1, op->h, op->w, op->c);
        if (op->weight >= 0) c.weight = net->params + net->param[op->weight].offset;
        if (op->bias >= 0) c.bias = net->params + net->param[op->bias].offset;
        c.packed = net->packed;
        c.work = (float *)(void *)(net->arena + net->sliced_bytes);
        c.batch = batch;
        c.number = i;
        op->info->forward(&c);
    }
}

static drl_status drl__scorer_code_of(const drl_net *net, const drl__op *op, drl_scorer_code *code)
{
    if (op->info == &drl__op_conv2d) *code = DRL_SCORER_CONV;
    else if (op->info == &drl__op_act && op->act == DRL_ACT_LEAKY_RELU) *code = DRL_SCORER_LEAKY_RELU;
    else if (op->info == &drl__op_act && op->act == DRL_ACT_RELU) *code = DRL_SCORER_RELU;
    else if (op->info == &drl__op_gain) *code = DRL_SCORER_GAIN;
    else if (op->info == &drl__op_shift && net->op[op->a].by_input) *code = DRL_SCORER_SHIFT;
    else if (op->info == &drl__op_add) *code = DRL_SCORER_ADD;
    else if (op->info == &drl__op_avgpool2) *code = DRL_SCORER_HALVE;
    else if (op->info == &drl__op_spatial_sum) *code = DRL_SCORER_SUM;
    else if (op->info == &drl__op_dot) *code = DRL_SCORER_DOT;
    else return drl__fail(net->ctx, DRL_E_UNSUPPORTED,
                          "drl_scorer_create: operator %d is %s%s, for which scorers have no step",
                          (int)(op - net->op), op->info->name,
                          op->info == &drl__op_act ? " of another activation than the ReLUs" : "");
    return DRL_OK;
}

/* Where the value of operator i goes. Steps that work element by element write over x, if nobody reads it
 * afterwards. Others take the lowest floats that hold no value which operator i, or a later one, reads. */
static size_t drl__scorer_place(const drl__scorer_plan *p, int i, drl_scorer_code code, int x)
{
    size_t place = 0, n = drl__op_floats(&p->net->op[i]);
    int j, moved = 1;
    if (code >= DRL_SCORER_LEAKY_RELU && code <= DRL_SCORER_ADD && p->value[x].last == i)
        return p->value[x].place;
    while (moved) {
        moved = 0;
        for (j = 0; j < i; ++j) {
            const drl__scorer_value *v = &p->value[j];
            size_t end = v->place + drl__op_floats(&p->net->op[j]);
            if (v->constant || v->last < i || v->place >= place + n || place >= end) continue;
            place = end;
            moved = 1;
        }
    }
    return place;
}

/* The weights of a step; b: number of its operand b. Returns how many there are; to NULL: writes nothing. */
static size_t drl__scorer_weights(const drl__scorer_plan *p, const drl__op *op, const drl_scorer_step *s,
                                  int b, float *to)
{
    const drl_net *net = p->net;
    const float *weight = op->weight < 0 ? NULL : net->params + net->param[op->weight].offset;
    const float *bias = op->bias < 0 ? NULL : net->params + net->param[op->bias].offset;
    size_t n = 0;
    if (s->code == DRL_SCORER_CONV) {
        drl__weight v = drl__weight_of(&op->conv, 0);
        int o, t, i;
        if (!to) return (size_t)s->k + net->param[op->weight].count;
        for (o = 0; o < v.out; ++o) to[n++] = bias ? bias[o] : 0.0f;
        for (o = 0; o < v.out; ++o) for (t = 0; t < v.taps; ++t) for (i = 0; i < v.in; ++i)
            to[n++] = op->weight_scale * weight[drl__weight_at(&v, o, t, i)];
        return n;
    }
    if (s->code == DRL_SCORER_GAIN) n = (size_t)s->c;
    else if (s->code == DRL_SCORER_SUM) { n = 1; weight = &op->scale; }
    else if (b >= 0 && s->b < 0) { n = drl__op_floats(&net->op[b]); weight = p->value[b].constant; }
    if (to && n) memcpy(to, weight, n * sizeof *to);
    return n;
}

/* The steps of all operators that depend on the images. */
static drl_status drl__scorer_steps(drl__scorer_plan *p)
{
    const drl_net *net = p->net;
    int i;
    p->weights = 0;
    p->steps = 0;
    p->work = drl__op_floats(&net->op[0]);      /* the image lies at 0 */
    for (i = 1; i < net->op_count; ++i) {
        const drl__op *op = &net->op[i];
        int swapped, x, b;
        size_t end;
        drl_scorer_step s;
        drl_status status;
        if (!op->by_input) continue;
        memset(&s, 0, sizeof s);
        status = drl__scorer_code_of(net, op, &s.code);
        if (status != DRL_OK) return status;
        swapped = !net->op[op->a].by_input;     /* of a sum or a product: x depends on the images */
        x = swapped ? op->b : op->a;
        b = swapped ? op->a : op->b;
        p->value[i].place = drl__scorer_place(p, i, s.code, x);
        end = p->value[i].place + drl__op_floats(op);
        if (end > p->work) p->work = end;
        s.h = net->op[x].h;
        s.w = net->op[x].w;
        s.c = net->op[x].c;
        s.k = op->c;
        s.side = s.code == DRL_SCORER_CONV ? drl__side(&op->conv) : 0;
        s.x = (int)p->value[x].place;
        s.b = b < 0 || p->value[b].constant ? -1 : (int)p->value[b].place;
        s.y = (int)p->value[i].place;
        s.weight = (int)p->weights;
        p->weights += drl__scorer_weights(p, op, &s, b, p->weight ? p->weight + p->weights : NULL);
        if (p->step) p->step[p->steps] = s;
        ++p->steps;
        if (p->work > INT32_MAX || p->weights > INT32_MAX)
            return drl__fail(net->ctx, DRL_E_SHAPE, "drl_scorer_create: it works in %z floats and has %z "
                             "weights; up to %d are possible", p->work, p->weights, INT32_MAX);
    }
    if (p->steps && net->op[net->op_count - 1].by_input) return DRL_OK;
    return drl__fail(net->ctx, DRL_E_UNSUPPORTED,
                     "drl_scorer_create: the score does not depend on the image");
}

/* Sets the addresses of what was counted in the scorer's block, and returns the bytes of the block. */
static size_t drl__scorer_layout(drl__scorer_plan *p, void *block)
{
    size_t total = 0;
    drl__place_array(block, &total, 1, sizeof(drl_scorer));
    p->step = (drl_scorer_step *)drl__place_array(block, &total, (size_t)p->steps, sizeof *p->step);
    p->weight = drl__place_floats(block, &total, p->weights);
    return total;
}

DRL__CALL(drl_status, drl_scorer_create,
    (drl_model *m, int level, int label, drl_scorer **out),
    (m, level, label, out))
{
    drl__scorer_plan p;
    drl_scorer *s = NULL;
    drl_status status;
    drl_batch batch;
    float value;
    void *block;
    if (!m || !out)
        return drl__fail(m ? m->ctx : NULL, DRL_E_ARGUMENT,
                         "drl_scorer_create: a model and a place for the result are needed");
    if (!drl__schedule_has(&m->schedule, level, 0))
        return drl__fail(m->ctx, DRL_E_ARGUMENT, "drl_scorer_create: level %d; 0 to %d are possible",
                         level, m->desc.levels - 1);
    status = drl__model_check_labels(m, 1, &label);
    if (status != DRL_OK) return status;
    memset(&p, 0, sizeof p);
    p.net = m->net;
    block = drl__alloc(m->ctx, drl__scorer_plan_place(&p, NULL));
    if (!block) return DRL_E_MEMORY;
    drl__scorer_plan_place(&p, block);
    value = drl__schedule_level(&m->schedule, level);
    batch = drl_batch_of(1, NULL, &value);
    batch.label = &label;
    drl__scorer_constants(&p, &batch);
    status = drl__scorer_steps(&p);
    if (status == DRL_OK) {
        s = (drl_scorer *)drl__alloc(m->ctx, drl__scorer_layout(&p, NULL));
        if (s) {
            drl__scorer_layout(&p, s);
            s->step = p.step;
            s->weight = p.weight;
            status = drl__scorer_steps(&p);
        }
        else status = DRL_E_MEMORY;
    }
    drl__free(m->ctx, block);
    if (status != DRL_OK) return status;
    s->height = m->desc.height;
    s->width = m->desc.width;
    s->channels = m->desc.channels;
    s->scale = (float)(drl_schedule_scale(&m->schedule, level) * m->schedule.abar[level]);
    s->steps = p.steps;
    s->weights = (int)p.weights;
    s->work = (int)p.work;
    s->owner = m->ctx;
    *out = s;
    return DRL_OK;
}

DRL_API void drl_scorer_destroy(drl_scorer *s) { if (s && s->owner) drl__free(s->owner, s); }

/* sum + x[0] w[0] + x[1] w[1] ..., one after the other. Not inline: the loops around it would take the
 * registers of a small processor. */
DRL__RARE float drl__scorer_chain(int n, const float *x, const float *w, float sum)
{
    int i;
    for (i = 0; i < n; ++i) sum = drl__fmaf(x[i], w[i], sum);
    return sum;
}

/* y [h][w][k]: see drl__plain_conv2d, but taps outside of the image are left out. */
static void drl__scorer_conv(const drl_scorer_step *s, const float *weight, const float *x, float *y)
{
    int i, j, o, row, column, half = s->side / 2;
    for (i = 0; i < s->h; ++i) for (j = 0; j < s->w; ++j) {
        const float *w = weight + s->k;
        for (o = 0; o < s->k; ++o) {
            float sum = weight[o];
            for (row = i - half; row <= i + half; ++row)
            for (column = j - half; column <= j + half; ++column, w += s->c) {
                if (row < 0 || row >= s->h || column < 0 || column >= s->w) continue;
                sum = drl__scorer_chain(s->c, x + (row * s->w + column) * s->c, w, sum);
            }
            *y++ = sum;
        }
    }
}

static void drl__scorer_halve(const drl_scorer_step *s, const float *x, float *y)
{
    drl__pool_args a;
    memset(&a, 0, sizeof a);
    a.x = x;
    a.y = y;
    a.w = (size_t)s->w / 2;
    a.c = (size_t)s->c;
    a.scale = 0.25f;
    DRL__JOIN(drl__pool, portable)(&a, 0, (size_t)s->h / 2, 0);
}

static void drl__scorer_sum(const drl_scorer_step *s, float scale, const float *x, float *y)
{
    drl__columns_args a;
    memset(&a, 0, sizeof a);
    a.a = x;
    a.out = y;
    a.rows = (size_t)s->h * (size_t)s->w;
    a.c = (size_t)s->c;
    a.images = 1;
    a.scale = scale;
    DRL__JOIN(drl__columns, portable)(&a, 0, (a.c + 4 * DRL__LANES - 1) / (4 * DRL__LANES), 0);
}

static void drl__scorer_step_run(const drl_scorer_step *s, const float *weight, float *work)
{
    const float *x = work + s->x, *b = s->b < 0 ? weight : work + s->b;
    float *y = work + s->y;
    int i, n = s->h * s->w * s->c, c = s->c;
    switch (s->code) {
    case DRL_SCORER_CONV:       drl__scorer_conv(s, weight, x, y); break;
    case DRL_SCORER_LEAKY_RELU: for (i = 0; i < n; ++i) y[i] = x[i] < 0 ? 0.2f * x[i] : x[i]; break;
    case DRL_SCORER_RELU:       for (i = 0; i < n; ++i) y[i] = x[i] < 0 ? 0.0f : x[i]; break;
    case DRL_SCORER_GAIN:       for (i = 0; i < n; ++i) y[i] = x[i] * weight[i % c]; break;
    case DRL_SCORER_SHIFT:      for (i = 0; i < n; ++i) y[i] = x[i] + b[i % c]; break;
    case DRL_SCORER_ADD:        for (i = 0; i < n; ++i) y[i] = x[i] + b[i]; break;
    case DRL_SCORER_HALVE:      drl__scorer_halve(s, x, y); break;
    case DRL_SCORER_SUM:        drl__scorer_sum(s, *weight, x, y); break;
    case DRL_SCORER_DOT:        *y = DRL__JOIN(drl__dot16, portable)(x, b, (size_t)n); break;
    }
}

DRL__CALL(drl_status, drl_scorer_run,
    (const drl_scorer *s, const float *x, float *score, float *work),
    (s, x, score, work))
{
    int i, n;
    if (!s || drl__bad_floats(x) || drl__bad_floats(score) || drl__bad_floats(work)) return DRL_E_ARGUMENT;
    n = s->height * s->width * s->channels;
    for (i = 0; i < n; ++i) work[i] = s->scale * x[i];
    for (i = 0; i < s->steps; ++i)
        drl__scorer_step_run(&s->step[i], s->weight + s->step[i].weight, work);
    *score = work[s->step[s->steps - 1].y];
    return DRL_OK;
}

/* -----------------------------------------------------------------------------------------------------------
 * [train.impl] - a step is: diffuse, run the chains, two passes through the net, clip, Adam, average. Nothing
 * is changed before all of it is known to be finite. [train.batch] diffuses, [train.loss] has chains, losses
 * and gradients of one group of images, [train.step] is the step, [train.run] is drl_train.
 * -------------------------------------------------------------------------------------------------------- */
typedef struct drl__train_state {           /* with the blocks below, all that a resumed run needs */
    uint64_t step;
    int rollbacks;
    double rate_scale;                      /* halved at each rollback */
    double rate_factor;                     /* the caller's: drl_trainer_set_rate */
    double beta1_power, beta2_power;        /* beta^step */
    double grad_average;
    uint64_t total;                         /* of a run by drl_train; zero: not settled */
    double seconds;                         /* spent on the steps of a run by drl_train */
    double planned;                         /* seconds given for all of them; zero in a run by steps */
    int warmup;                             /* steps; the run's, if the description leaves them open */
} drl__train_state;

/* What training keeps for one of the networks: blocks of `params` or `state` floats. */
typedef struct drl__part {
    drl_net *net;
    size_t params, state;
    float *sums;                            /* gradients of 1, 2, 4 .. groups, see drl__gradients_add */
    float *ema, *adam_m, *adam_v;
    float *kept_state;                      /* the power iterations of training while the average is in */
    float *good_params, *good_ema, *good_m, *good_v, *good_state;
} drl__part;

/* What a step says of an image, from which reports are made and decisions taken. */
typedef struct drl__figures {
    double level;
    double f_pos, f_neg;                    /* f(y+), f(y-) */
    double loss, initializer_loss;          /* its part of the batch's */
    double gradient, displacement;          /* as in drl_level_report, like the next two */
    double noise_left;                      /* negative: not computed */
    double initializer_noise_left;
} drl__figures;

typedef struct drl__rank {
    double status;                          /* of the rank's part of a step */
    double mark;                            /* a hash of what has to be the same for all ranks */
} drl__rank;

struct drl_trainer {
    drl_ctx *ctx;
    drl_model *model;
    drl_train_desc desc;
    int groups;                             /* of this rank */
    int images;                             /* of a group */
    int first;                              /* number in the batch of the first image of the group at work */
    drl__rank *rank;                        /* [ranks], and right behind it: */
    drl__figures *figures;                  /* [batch] */
    float *words;                           /* both on their way to other ranks; NULL if there are none */
    drl__train_state now, good;             /* good: at the snapshot */
    int averaged;                           /* the model holds the average: see drl_trainer_swap_average */
    drl__part part[2];                      /* the energy's, the initializer's */
    int parts;
    drl_level_report *level, *good_level;
    /* Of the group at work. [images]: */
    int *t, *label;                         /* level and class */
    /* [images * size]: */
    float *y_pos;                           /* y+ = a x_t, where F is to rise; x - h r for the score */
    float *y_neg;                           /* y-, where F is to fall: chains, to y_K; x + h r */
    float *x_next;                          /* x_{t+1} */
    float *gradient;                        /* dF/dy where chains end; for the score the residual r */
    /* [images * size], with an initializer: */
    float *y_0;                             /* where chains start; then the gradient by the network's
                                             * output, which saves a buffer */
    float *target;                          /* the mean of y_t that the data implies, and the noise of y_0 */
    /* [images]: */
    float *level_value;                     /* of t for the energy, of t + 1 for the initializer */
    float *f_pos, *f_neg;                   /* f(y+), f(y-) */
    float *f_weight;                        /* derivative of the loss by each f */
    float *image;                           /* [size] scratch: an augmented image, or a residual */
    float *noise;                           /* one image's noise for every thread */
};

static const drl__field drl__train_fields[] = {
    { "seed",                DRL__U64,    offsetof(drl_train_desc, seed), 0, 0, 0, DRL__ANY },
    { "batch",               DRL__INT,    offsetof(drl_train_desc, batch), 0, 1, 65535, 0 },
    { "learning_rate",       DRL__FLOAT,  offsetof(drl_train_desc, learning_rate), 0, 0, 1, DRL__OPEN },
    { "beta1",               DRL__FLOAT,  offsetof(drl_train_desc, beta1), 0, 0, 1,
      DRL__NONE | DRL__NO_HIGH },
    { "beta2",               DRL__FLOAT,  offsetof(drl_train_desc, beta2), 0.999, 0, 1,
      DRL__NONE | DRL__NO_HIGH },
    { "warmup",              DRL__INT,    offsetof(drl_train_desc, warmup), 0, 0, 0, DRL__ANY },
    { "ema",                 DRL__FLOAT,  offsetof(drl_train_desc, ema), 0.99999, 0, 1,
      DRL__NONE | DRL__NO_HIGH },
    { "clip",                DRL__FLOAT,  offsetof(drl_train_desc, clip), 1, 0, DRL__FINITE, DRL__NONE },
    { "steps",               DRL__INT,    offsetof(drl_train_desc, steps), 0, 1, 4000, DRL__NONE },
    { "flip",                DRL__INT,    offsetof(drl_train_desc, flip), 0, 0, 0, DRL__ANY },
    { "snapshot",            DRL__INT,    offsetof(drl_train_desc, snapshot), 100, 0, 0, DRL__ANY },
    { "data_noise",          DRL__FLOAT,  offsetof(drl_train_desc, data_noise), 0, 0, 1,
      DRL__NONE | DRL__NO_HIGH },
    { "initializer_rate",    DRL__FLOAT,  offsetof(drl_train_desc, initializer_rate), 0.001, 0, 1,
      DRL__OPEN },
    { "label_drop",          DRL__FLOAT,  offsetof(drl_train_desc, label_drop), 0.1, 0, 1, DRL__NONE },
    { "independent_noise",   DRL__INT,    offsetof(drl_train_desc, independent_noise), 0, 0, 0, DRL__ANY },
    { "objective",           DRL__ENUM,   offsetof(drl_train_desc, objective), 0, DRL_OBJECTIVE_RECOVERY,
      DRL_OBJECTIVE_SCORE, 0 },
    { "initializer_data",    DRL__FLOAT,  offsetof(drl_train_desc, initializer_data), 1, 0, 1, DRL__NONE },
    { "shift",               DRL__INT,    offsetof(drl_train_desc, shift), 0, 0, 0, DRL__ANY },
    { "palette",             DRL__INT,    offsetof(drl_train_desc, palette), 0, 0, 0, DRL__ANY },
    { "groups",              DRL__INT,    offsetof(drl_train_desc, groups), 0, 1, 32768, 0 }
};

#define DRL__STEPS_MAX ((uint64_t)1 << 32)      /* later ones would meet the streams of other purposes */
#define DRL__SECONDS_MAX 1e12

/* Checkpoints hold it: what a run can have come to. */
static const drl__field drl__state_fields[] = {
    { "step",                DRL__U64,    offsetof(drl__train_state, step), 0, 0, (double)DRL__STEPS_MAX,
      DRL__NO_HIGH },
    { "rollbacks",           DRL__INT,    offsetof(drl__train_state, rollbacks), 0, 0, 1 << 30,
      DRL__NO_HIGH },
    { "rate_scale",          DRL__DOUBLE, offsetof(drl__train_state, rate_scale), 0, 0, 1, 0 },
    { "rate_factor",         DRL__DOUBLE, offsetof(drl__train_state, rate_factor), 0, 0, 1, 0 },
    { "beta1_power",         DRL__DOUBLE, offsetof(drl__train_state, beta1_power), 0, 0, 1, 0 },
    { "beta2_power",         DRL__DOUBLE, offsetof(drl__train_state, beta2_power), 0, 0, 1, 0 },
    { "grad_average",        DRL__DOUBLE, offsetof(drl__train_state, grad_average), 0, 0, 1e30,
      DRL__NO_HIGH },
    { "total",               DRL__U64,    offsetof(drl__train_state, total), 0, 0,
      (double)DRL__STEPS_MAX, DRL__NO_HIGH },
    { "seconds",             DRL__DOUBLE, offsetof(drl__train_state, seconds), 0, 0, DRL__SECONDS_MAX,
      DRL__NO_HIGH },
    { "planned",             DRL__DOUBLE, offsetof(drl__train_state, planned), 0, 0, DRL__SECONDS_MAX,
      DRL__NO_HIGH },
    { "warmup",              DRL__INT,    offsetof(drl__train_state, warmup), 0, 0, INT32_MAX, 0 }
};

#define DRL__WARMUP 300                     /* steps, at most, where the description leaves them open */
#define DRL__WARMUP_SHARE 10                /* one over the share of a run */
#define DRL__WARMUP_PROBE 10                /* steps after which a run by time knows its length roughly */

static int drl__power_of_two(int n) { return n > 0 && !(n & (n - 1)); }

/* How the batch is shared out. */
static drl_status drl__train_check_groups(drl_model *m, const drl_train_desc *d)
{
    if (!drl__power_of_two(d->groups) || d->batch % d->groups)
        return drl__fail(m->ctx, DRL_E_ARGUMENT,
                         "drl_trainer: groups is %d; powers of two that divide the batch, %d, are possible",
                         d->groups, d->batch);
    if (d->batch / d->groups > m->desc.batch)
        return drl__fail(m->ctx, DRL_E_ARGUMENT,
                         "drl_trainer: batch is %d, groups is %d; the model takes %d images a pass",
                         d->batch, d->groups, m->desc.batch);
    if (!drl__power_of_two(d->ranks) || d->ranks > d->groups)
        return drl__fail(m->ctx, DRL_E_ARGUMENT,
                         "drl_trainer: ranks is %d; powers of two up to `groups`, %d, are possible",
                         d->ranks, d->groups);
    if (d->rank < 0 || d->rank >= d->ranks)
        return drl__fail(m->ctx, DRL_E_ARGUMENT,
                         "drl_trainer: rank is %d; 0 to %d are possible", d->rank, d->ranks - 1);
    if (d->ranks > 1 && !d->reduce)
        return drl__fail(m->ctx, DRL_E_ARGUMENT,
                         "drl_trainer: %d ranks need `reduce`, which adds their gradients", d->ranks);
    return DRL_OK;
}

static drl_status drl__train_resolve(drl_model *m, const drl_train_desc *desc, drl_train_desc *d)
{
    int unet = m->desc.energy_form == DRL_ENERGY_UNET;
    drl_status status;
    memset(d, 0, sizeof *d);
    if (desc) *d = *desc;
    if (drl__zeroed(m->ctx, "drl_train_desc", d->canary) != DRL_OK) return DRL_E_ARGUMENT;
    if (!d->batch) d->batch = drl__min(32, m->desc.batch);
    if (!d->ranks) d->ranks = 1;
    if (!d->groups) d->groups = d->ranks;
    if (!d->objective) d->objective = unet ? DRL_OBJECTIVE_SCORE : DRL_OBJECTIVE_RECOVERY;
    if (d->learning_rate == 0)
        d->learning_rate = unet ? 2e-3f : m->desc.form == DRL_FORM_CDRL ? 5e-4f : 3e-4f;
    if (d->beta1 == 0) d->beta1 = unet ? 0.9f : 0.5f;
    if (!d->steps) d->steps = m->desc.steps;
    if (d->steps < 0) d->steps = -1;
    if (d->data_noise == 0) {
        int t1k = m->desc.schedule == DRL_SCHEDULE_T1K;
        d->data_noise = m->desc.form == DRL_FORM_DRL && !t1k ? 0.02f : -1.0f;
    }
    drl__defaults(drl__train_fields, DRL__COUNT(drl__train_fields), d);
    if (d->initializer_data < 0) d->initializer_data = -1.0f;
    if (m->desc.form == DRL_FORM_DRL) d->independent_noise = 1;
    if (d->objective == DRL_OBJECTIVE_SCORE) d->independent_noise = 0;  /* r is by the noise that made x */
    if (!m->desc.trainable)
        return drl__fail(m->ctx, DRL_E_ARGUMENT, "drl_trainer: the model was made without `trainable`");
    status = drl__check(m->ctx, DRL_E_ARGUMENT, "drl_trainer",
                        drl__train_fields, DRL__COUNT(drl__train_fields), d);
    if (status == DRL_OK) status = drl__train_check_groups(m, d);
    if (status != DRL_OK) return status;
    if (d->shift < 0 || (d->shift && d->shift >= drl__min(m->desc.height, m->desc.width)))
        return drl__fail(m->ctx, DRL_E_ARGUMENT,
                         "drl_trainer: shifts of up to %d pixels; images of %d x %d allow 0 to %d", d->shift,
                         m->desc.height, m->desc.width, drl__min(m->desc.height, m->desc.width) - 1);
    if (d->palette && m->desc.channels != 3 && m->desc.channels != 4)
        return drl__fail(m->ctx, DRL_E_ARGUMENT,
                         "drl_trainer: `palette` needs images of 3 or 4 channels; the model has %d",
                         m->desc.channels);
    if (d->objective == DRL_OBJECTIVE_SCORE && drl__net_has_kinks(m->net))
        return drl__fail(m->ctx, DRL_E_ARGUMENT,
                         "drl_trainer: score matching needs second derivatives, and the energy's network has "
                         "a ReLU or drl_net_maxpool2; set the model's `silu`, or use DRL_ACT_SILU");
    if (d->objective == DRL_OBJECTIVE_SCORE && m->initializer && d->initializer_data < 1)
        return drl__fail(m->ctx, DRL_E_ARGUMENT,
                         "drl_trainer: initializer_data is %g; score matching has no chains from which "
                         "the initializer could learn the rest: 1 is possible", (double)d->initializer_data);
    return DRL_OK;
}

static void drl__part_place(drl__part *part, int groups, int snapshot, void *block, size_t *total)
{
    size_t params = part->params = part->net->params_size, state = part->state = part->net->state_size;
    size_t sums = 0;
    for (; groups > 1; groups /= 2) ++sums;
    part->sums = drl__place_floats(block, total, sums * params);
    part->ema = drl__place_floats(block, total, params);
    part->adam_m = drl__place_floats(block, total, params);
    part->adam_v = drl__place_floats(block, total, params);
    part->kept_state = drl__place_floats(block, total, state);
    if (!snapshot) return;
    part->good_params = drl__place_floats(block, total, params);
    part->good_ema = drl__place_floats(block, total, params);
    part->good_m = drl__place_floats(block, total, params);
    part->good_v = drl__place_floats(block, total, params);
    part->good_state = drl__place_floats(block, total, state);
}

static size_t drl__trainer_place(drl_trainer *tr, drl_model *m, const drl_train_desc *d, void *block)
{
    size_t total = 0, levels = (size_t)m->desc.levels, batch = (size_t)d->batch, pixels = 0;
    size_t images = batch / (size_t)d->groups, ranks = (size_t)d->ranks;
    size_t numbers = ranks * (sizeof(drl__rank) / sizeof(double)) +
                     batch * (sizeof(drl__figures) / sizeof(double));
    int i;
    if (!drl__mul_fits(images, m->size, &pixels)) return SIZE_MAX;
    drl__place_array(block, &total, 1, sizeof *tr);
    tr->groups = d->groups / d->ranks;
    tr->images = (int)images;
    tr->part[0].net = m->net;
    tr->part[1].net = m->initializer;
    tr->parts = m->initializer ? 2 : 1;
    for (i = 0; i < tr->parts; ++i)
        drl__part_place(&tr->part[i], tr->groups, d->snapshot > 0, block, &total);
    tr->y_pos = drl__place_floats(block, &total, pixels);
    tr->y_neg = drl__place_floats(block, &total, pixels);
    tr->x_next = drl__place_floats(block, &total, pixels);
    tr->gradient = drl__place_floats(block, &total, pixels);
    tr->y_0 = drl__place_floats(block, &total, m->initializer ? pixels : 0);
    tr->target = drl__place_floats(block, &total, m->initializer ? pixels : 0);
    tr->noise = drl__place_floats(block, &total, drl__langevin_work_count(m->ctx, m->size));
    tr->level_value = drl__place_floats(block, &total, images);
    tr->f_pos = drl__place_floats(block, &total, images);
    tr->f_neg = drl__place_floats(block, &total, images);
    tr->f_weight = drl__place_floats(block, &total, images);
    tr->image = drl__place_floats(block, &total, m->size);
    tr->words = drl__place_floats(block, &total, ranks > 1 ? 4 * numbers : 0);
    tr->rank = (drl__rank *)drl__place_array(block, &total, numbers, sizeof(double));
    tr->figures = block ? (drl__figures *)(void *)(tr->rank + ranks) : NULL;
    tr->level = (drl_level_report *)drl__place_array(block, &total, levels, sizeof(drl_level_report));
    tr->good_level = (drl_level_report *)drl__place_array(block, &total, levels, sizeof(drl_level_report));
    tr->t = (int *)drl__place_array(block, &total, images, sizeof(int));
    tr->label = (int *)drl__place_array(block, &total, images, sizeof(int));
    return total;
}

DRL__CALL(drl_status, drl_trainer_size,
    (drl_model *m, const drl_train_desc *desc, size_t *bytes),
    (m, desc, bytes))
{
    drl_trainer sizes;
    drl_train_desc d;
    drl_status status;
    size_t total;
    if (!m || !bytes)
        return drl__fail(m ? m->ctx : NULL, DRL_E_ARGUMENT,
                         "drl_trainer_size: a model and a place for the result are needed");
    status = drl__train_resolve(m, desc, &d);
    if (status != DRL_OK) return status;
    total = drl__trainer_place(&sizes, m, &d, NULL);
    if (total == SIZE_MAX)
        return drl__fail(m->ctx, DRL_E_MEMORY,
                         "drl_trainer_size: what training keeps at a batch of %d does not fit one block of "
                         "this machine's memory",
                         d.batch);
    *bytes = drl__piece_bytes(total);
    return DRL_OK;
}

/* Copies a network's weights, average, moments and power iterations to its snapshot (back 0), or back from
 * there. */
static void drl__part_copy(drl__part *part, int back)
{
    struct { float *now, *good; size_t count; } pair[5];
    int i;
    pair[0].now = part->net->params; pair[0].good = part->good_params; pair[0].count = part->params;
    pair[1].now = part->ema;         pair[1].good = part->good_ema;    pair[1].count = part->params;
    pair[2].now = part->adam_m;      pair[2].good = part->good_m;      pair[2].count = part->params;
    pair[3].now = part->adam_v;      pair[3].good = part->good_v;      pair[3].count = part->params;
    pair[4].now = part->net->state;  pair[4].good = part->good_state;  pair[4].count = part->state;
    for (i = 0; i < 5; ++i) {
        size_t bytes = pair[i].count * sizeof(float);
        if (back) memcpy(pair[i].now, pair[i].good, bytes);
        else memcpy(pair[i].good, pair[i].now, bytes);
    }
}

static void drl__trainer_keep(drl_trainer *tr)
{
    int i;
    if (tr->desc.snapshot < 0) return;
    for (i = 0; i < tr->parts; ++i) drl__part_copy(&tr->part[i], 0);
    memcpy(tr->good_level, tr->level, (size_t)tr->model->desc.levels * sizeof *tr->level);
    tr->good = tr->now;
}

DRL__CALL(drl_status, drl_trainer_create,
    (drl_model *m, const drl_train_desc *desc, drl_trainer **out),
    (m, desc, out))
{
    drl_train_desc d;
    drl_trainer sizes, *tr;
    drl_status status;
    size_t total;
    int i;
    if (!m || !out)
        return drl__fail(m ? m->ctx : NULL, DRL_E_ARGUMENT,
                         "drl_trainer_create: a model and a place for the result are needed");
    status = drl__train_resolve(m, desc, &d);
    if (status != DRL_OK) return status;
    total = drl__trainer_place(&sizes, m, &d, NULL);
    tr = (drl_trainer *)drl__alloc(m->ctx, total);
    if (!tr) return DRL_E_MEMORY;
    memset(tr, 0, total);
    tr->ctx = m->ctx;
    tr->model = m;
    tr->desc = d;
    drl__trainer_place(tr, m, &d, tr);
    for (i = 0; i < tr->parts; ++i)
        memcpy(tr->part[i].ema, tr->part[i].net->params, tr->part[i].params * sizeof(float));
    tr->now.rate_scale = tr->now.rate_factor = tr->now.beta1_power = tr->now.beta2_power = 1;
    tr->now.warmup = d.warmup ? drl__max(d.warmup, 0) : DRL__WARMUP;
    drl__trainer_keep(tr);
    *out = tr;
    return DRL_OK;
}

DRL_API void     drl_trainer_destroy(drl_trainer *tr) { if (tr) drl__free(tr->ctx, tr); }
DRL_API uint64_t drl_trainer_steps(const drl_trainer *tr) { return tr ? tr->now.step : 0; }

DRL__CALL(drl_status, drl_trainer_set_rate, (drl_trainer *tr, double factor), (tr, factor))
{
    if (!tr || !(factor >= 0) || !(factor <= 1))
        return drl__fail(tr ? tr->ctx : NULL, DRL_E_ARGUMENT,
                         "drl_trainer_set_rate: factor %g; 0 to 1 are possible", factor);
    tr->now.rate_factor = factor;
    return DRL_OK;
}

/* -----------------------------------------------------------------------------------------------------------
 * [train.batch] - which draws belong to which step, augmentation, and the diffusion of a batch.
 * -------------------------------------------------------------------------------------------------------- */

/* Draws of a step: stream = purpose, rollbacks, step, image, draw. A rolled-back run sees fresh noise. Images
 * are counted through the whole batch. */
static uint64_t drl__train_seed(const drl_trainer *tr)
{ return tr->desc.seed + (uint64_t)tr->now.rollbacks * 0x9E3779B97F4A7C15u; }

static drl_rng drl__train_rng(const drl_trainer *tr, uint64_t what)
{
    drl_rng rng;
    rng.seed = drl__train_seed(tr);
    rng.stream = DRL__STREAM_TRAIN + (tr->now.step << 28) + what;
    rng.position = 0;
    return rng;
}

#define DRL__DRAW_DATA    0xfffffffu        /* beyond every image << 12 | draw */
#define DRL__DRAW_LEVEL   0xffffffeu
#define DRL__DRAW_LABEL   0xffffffdu
#define DRL__DRAW_DROPOUT 0xffffffcu
#define DRL__DRAW_AUGMENT 0xffffffbu
#define DRL__DRAW_PROPOSAL 4095             /* of an image, beyond its Langevin draws */

static drl_rng drl__trainer_rng(const drl_trainer *tr)
{
    drl_rng none = { 0, 0, 0 };
    return tr ? drl__train_rng(tr, DRL__DRAW_DATA) : none;
}

static void drl__train_noise(void *user, drl_ctx *ctx, int image, int draw, float *out, size_t n)
{
    const drl_trainer *tr = (const drl_trainer *)user;
    drl_rng rng = drl__train_rng(tr, (uint64_t)(tr->first + image) << 12 | (uint64_t)draw);
    drl_rng_normals(ctx, &rng, out, n);
}

/* An image as it is trained on: mirrored, then moved, colours exchanged. The three draws are made whatever is
 * asked for, so that no option changes what another one draws. */
#define DRL__AUGMENT_DRAWS 3
static void drl__augment(const drl_trainer *tr, const float *x, int mirror, drl_rng *rng, float *to)
{
    static const unsigned char orders[6][3] = {
        { 0, 1, 2 }, { 1, 2, 0 }, { 2, 0, 1 }, { 0, 2, 1 }, { 2, 1, 0 }, { 1, 0, 2 } };
    const drl_model_desc *d = &tr->model->desc;
    int most = tr->desc.shift;
    int down = drl_rng_below(rng, 2 * most + 1) - most, right = drl_rng_below(rng, 2 * most + 1) - most;
    int order = drl_rng_below(rng, 6), row, col, c;
    const unsigned char *from = orders[tr->desc.palette ? order : 0];
    size_t wide = (size_t)d->width * (size_t)d->channels;
    for (row = 0; row < d->height; ++row) {
        const float *line = x + (size_t)drl__min(drl__max(row - down, 0), d->height - 1) * wide;
        for (col = 0; col < d->width; ++col) {
            int at = drl__min(drl__max(col - right, 0), d->width - 1);
            const float *pixel = line + (size_t)(mirror ? d->width - 1 - at : at) * (size_t)d->channels;
            for (c = 0; c < d->channels; ++c) *to++ = pixel[c < 3 ? from[c] : c];
        }
    }
}

/* y_pos = a x_t and x_{t+1} of each image, at a level drawn for it:
 *   x_t = abar_t (x_0 + data noise) + sbar_t eps, both noises in one draw
 *   x_{t+1} = a_{t+1} x_t + s_{t+1} eps' [Gao21], or as x_t with level t + 1 and the same eps [Zhu24]
 * and, with an initializer, the mean of y_t given x_0 and x_{t+1} as its target. Chains start at
 * x_{t+1} unless drl__train_propose has a better place. */
static void drl__diffuse(drl_trainer *tr, const float *x0, const int *labels)
{
    const drl_schedule *sc = &tr->model->schedule;
    size_t size = tr->model->size;
    drl_rng rng = drl__train_rng(tr, DRL__DRAW_LEVEL), drop = drl__train_rng(tr, DRL__DRAW_LABEL);
    drl_rng augment = drl__train_rng(tr, DRL__DRAW_AUGMENT);
    double extra = tr->desc.data_noise > 0 ? (double)tr->desc.data_noise : 0.0;
    float *x = tr->image, *eps = tr->noise;
    int i;
    rng.position = 2 * (uint64_t)tr->first;                     /* level and mirror */
    drop.position = (uint64_t)tr->first;
    augment.position = DRL__AUGMENT_DRAWS * (uint64_t)tr->first;
    for (i = 0; i < tr->images; ++i) {
        size_t at = (size_t)i * size;
        float *y_pos = tr->y_pos + at, *x_next = tr->x_next + at;
        int t = tr->t[i] = drl_rng_below(&rng, sc->levels), mirror = drl_rng_below(&rng, 2) && tr->desc.flip;
        double a = sc->abar[t + 1], scale = drl_schedule_scale(sc, t);
        double sigma = sqrt(sc->sbar[t] * sc->sbar[t] + extra * extra * sc->abar[t] * sc->abar[t]);
        double sigma_next = sqrt(sc->sbar[t + 1] * sc->sbar[t + 1] + extra * extra * a * a);
        tr->label[i] = drl_rng_uniform(&drop) < tr->desc.label_drop || !labels ? 0 : labels[i];
        drl__augment(tr, x0 + at, mirror, &augment, x);
        drl__train_noise(tr, tr->ctx, i, 0, eps, size);
        drl__axpby(tr->ctx, size, (float)sc->abar[t], x, (float)sigma, eps, y_pos);     /* x_t */
        if (tr->desc.independent_noise) {
            drl__train_noise(tr, tr->ctx, i, 1, eps, size);
            drl__axpby(tr->ctx, size, (float)sc->a[t + 1], y_pos, (float)sc->s[t + 1], eps, x_next);
        } else drl__axpby(tr->ctx, size, (float)a, x, (float)sigma_next, eps, x_next);
        drl__axpby(tr->ctx, size, (float)scale, y_pos, 0.0f, NULL, y_pos);
        memcpy(tr->y_neg + at, x_next, size * sizeof(float));
        if (tr->model->initializer) {
            double of_x0, of_next;
            drl__schedule_posterior(sc, t, t + 1, extra, &of_x0, &of_next);
            drl__axpby(tr->ctx, size, (float)(scale * of_x0), x, (float)(scale * of_next), x_next,
                       tr->target + at);
        }
    }
}

/* Chains start at y_0 = g(x_{t+1}) + noise; the initializer keeps what its gradient needs. */
static drl_status drl__train_propose(drl_trainer *tr)
{
    const drl_schedule *sc = &tr->model->schedule;
    drl_rng dropout = drl__train_rng(tr, DRL__DRAW_DROPOUT);
    drl_batch b = drl_batch_of(tr->images, tr->x_next, tr->level_value);
    size_t size = tr->model->size;
    drl_status status;
    int i;
    for (i = 0; i < b.n; ++i) tr->level_value[i] = drl__schedule_level(sc, tr->t[i] + 1);
    b.label = tr->label;
    b.dropout = &dropout;
    dropout.position = (uint64_t)tr->first;
    status = drl_net_train_forward(tr->model->initializer, &b, tr->y_0);
    if (status == DRL_OK) drl__initializer_finish(tr->model, b.n, tr->x_next, tr->t, tr->y_0);
    for (i = 0; i < b.n && status == DRL_OK; ++i) {
        size_t at = (size_t)i * size;
        float *y_0 = tr->y_0 + at, *target = tr->target + at;
        float sigma = (float)drl__schedule_proposal(sc, tr->t[i], tr->t[i] + 1);
        drl__train_noise(tr, tr->ctx, i, DRL__DRAW_PROPOSAL, tr->noise, size);
        drl__axpby(tr->ctx, size, 1.0f, y_0, sigma, tr->noise, y_0);
        drl__axpby(tr->ctx, size, 1.0f, target, sigma, tr->noise, target); /* the loss compares means */
        memcpy(tr->y_neg + at, y_0, size * sizeof(float));
    }
    return status;
}

/* Standard deviation of the noise around an image at level t, that on the data included. */
static double drl__train_sigma(const drl_trainer *tr, int t)
{
    const drl_schedule *sc = &tr->model->schedule;
    double extra = tr->desc.data_noise > 0 ? (double)tr->desc.data_noise * sc->abar[t] : 0.0;
    return sqrt(sc->sbar[t] * sc->sbar[t] + extra * extra);
}

/* The error in the noise of x_{t+1} that goes with an error of 1 in the mean of y_t given x_{t+1}. An
 * error of 1 in x_0 is one of a A in the mean, and of abar_{t+1} / sigma_{t+1} in the noise. */
static double drl__noise_of_mean(const drl_trainer *tr, int t)
{
    const drl_schedule *sc = &tr->model->schedule;
    double of_x0, of_next, extra = tr->desc.data_noise > 0 ? (double)tr->desc.data_noise : 0.0;
    drl__schedule_posterior(sc, t, t + 1, extra, &of_x0, &of_next);
    return sc->abar[t + 1] / (drl_schedule_scale(sc, t) * of_x0 * drl__train_sigma(tr, t + 1));
}

/* -----------------------------------------------------------------------------------------------------------
 * [train.loss] - the initializer, chains, score matching, noise left, and the passes with their gradients.
 * -------------------------------------------------------------------------------------------------------- */

/* The initializer's loss (see drl_trainer_step) and its gradient. y_0 becomes the gradient by the
 * network's output. */
static drl_status drl__train_initializer(drl_trainer *tr, drl__figures *figures)
{
    drl_net *net = tr->model->initializer;
    size_t j, size = tr->model->size;
    float data = tr->desc.initializer_data > 0 ? tr->desc.initializer_data : 0.0f;
    int i, n = tr->desc.batch;
    for (i = 0; i < tr->images; ++i) {
        float *y_0 = tr->y_0 + (size_t)i * size;
        const float *y_k = tr->y_neg + (size_t)i * size, *target = tr->target + (size_t)i * size;
        double of_x, of_net, sum = 0, left = 0;
        float unit;
        drl__initializer_mean(tr->model, tr->t[i], &of_x, &of_net);
        unit = (float)(1 / of_net);         /* 1 in the residual form; else the loss is the velocity's */
        for (j = 0; j < size; ++j) {
            float d = y_0[j] - target[j];
            left += (double)d * (double)d;
            if (data < 1) d = y_0[j] - y_k[j];
            if (data > 0 && data < 1) d += data * (y_k[j] - target[j]);
            d *= unit;
            sum += (double)d * (double)d;
            y_0[j] = d * (float)(2.0 / n);
        }
        figures[i].initializer_loss = sum / n;
        of_net = drl__noise_of_mean(tr, tr->t[i]);
        figures[i].initializer_noise_left = (double)(float)(left / (double)size * of_net * of_net);
    }
    memset(net->grads, 0, net->params_size * sizeof(float));
    return drl_net_train_backward(net, tr->y_0);
}

/* Root mean square of the pixels of x. */
static double drl__pixel_size(const drl_trainer *tr, const float *x)
{ return sqrt(drl__sum_squares(tr->ctx, tr->model->size, x) / (double)tr->model->size); }

/* Root mean square move of a pixel of image i over its chain, in units of the noise that the chain is to
 * remove. */
static double drl__displacement(const drl_trainer *tr, int i)
{
    size_t size = tr->model->size, j;
    const float *y = tr->y_neg + (size_t)i * size, *x = tr->x_next + (size_t)i * size;
    double moved = 0;
    for (j = 0; j < size; ++j) moved += ((double)y[j] - (double)x[j]) * ((double)y[j] - (double)x[j]);
    return sqrt(moved / (double)size) / tr->model->schedule.s[tr->t[i] + 1];
}

/* Runs the chains, in y_neg, to their ends y_K. */
static drl_status drl__train_chains(drl_trainer *tr, const drl_energy *energy, drl__figures *figures)
{
    drl_model *m = tr->model;
    drl__langevin_desc chain;
    drl_status status;
    int i, no_steps = tr->desc.steps < 0, same_steps = tr->desc.steps == m->desc.steps;
    memset(&chain, 0, sizeof chain);
    chain.energy = energy;
    chain.schedule = &m->schedule;
    chain.level = tr->t;
    chain.label = tr->label;
    chain.gaussian_step = no_steps;
    chain.steps = drl__max(tr->desc.steps, 1);
    chain.first_draw = 2;
    chain.step_scale = 1;                   /* other steps than the model's have other sizes */
    if (!same_steps && !no_steps && m->desc.steps > 0)
        chain.step_scale = sqrt((double)m->desc.steps / tr->desc.steps);
    chain.noise.fill = drl__train_noise;
    chain.noise.user = tr;
    status = drl__langevin(tr->ctx, &chain, tr->images, tr->y_neg, tr->x_next, tr->gradient, tr->noise);
    for (i = 0; i < tr->images; ++i) {
        double slope = drl__pixel_size(tr, tr->gradient + (size_t)i * m->size);
        figures[i].gradient = 0.5 * drl_schedule_step(&m->schedule, tr->t[i]) * slope;
        figures[i].displacement = drl__displacement(tr, i);
    }
    return status;
}

#define DRL__SCORE_STEP       0.1           /* h of DRL_OBJECTIVE_SCORE over sigma */
#define DRL__SCORE_WEIGHT_MAX 10.0          /* its w, at most */

/* w_t: what |r|^2 counts at level t, see DRL_OBJECTIVE_SCORE. */
static double drl__score_weight(const drl_trainer *tr, int t)
{
    const drl_model *m = tr->model;
    double abar = m->schedule.abar[t];
    if (m->desc.energy_form != DRL_ENERGY_UNET) return 1;
    return abar * abar * DRL__SCORE_WEIGHT_MAX > 1 ? 1 / (abar * abar) : DRL__SCORE_WEIGHT_MAX;
}

/* Score matching at x = a x_t, or x_{t+1} with K = 0: residuals r = sigma dF/dx + eps, in `gradient`, and
 * the points x - h r and x + h r, in y_pos and y_neg. */
static drl_status drl__train_score(drl_trainer *tr, const drl_energy *energy, drl__figures *figures)
{
    const drl_schedule *sc = &tr->model->schedule;
    size_t size = tr->model->size;
    int i, n = tr->images, none = tr->desc.steps < 0;
    const float *points = none ? tr->x_next : tr->y_pos;
    drl_status status = energy->eval(energy->user, n, points, tr->t, tr->label, NULL, tr->gradient);
    for (i = 0; i < n && status == DRL_OK; ++i) {
        size_t at = (size_t)i * size;
        int t = tr->t[i] + none;
        double sigma = (none ? 1.0 : drl_schedule_scale(sc, t)) * drl__train_sigma(tr, t);
        float h = (float)(DRL__SCORE_STEP * sigma), *r = tr->gradient + at;
        drl__train_noise(tr, tr->ctx, i, 0, tr->noise, size);   /* the draw that made x */
        drl__axpby(tr->ctx, size, (float)sigma, r, 1.0f, tr->noise, r);
        drl__axpby(tr->ctx, size, h, r, 1.0f, points + at, tr->y_neg + at);
        drl__axpby(tr->ctx, size, -h, r, 1.0f, points + at, tr->y_pos + at);
        figures[i].noise_left = (double)(float)(drl__sum_squares(tr->ctx, size, r) / (double)size);
        figures[i].loss = drl__score_weight(tr, t) * drl__sum_squares(tr->ctx, size, r) /
                          (2 * (double)size * tr->desc.batch);
        figures[i].displacement = drl__pixel_size(tr, r);
    }
    return status;
}

#define DRL__NOISE_SHARE 16                 /* one image in so many has its energy's noise left looked at */

/* The noise left by the energies, of some of the images y = a x_t. Nothing that is trained depends on it. */
static drl_status drl__train_noise_left(drl_trainer *tr, const drl_energy *energy, drl__figures *figures)
{
    size_t size = tr->model->size;
    drl_status status = DRL_OK;
    int i;
    for (i = 0; i < tr->images && status == DRL_OK; ++i) {
        const float *y = tr->y_pos + (size_t)i * size;
        double sigma = drl_schedule_scale(&tr->model->schedule, tr->t[i]) * drl__train_sigma(tr, tr->t[i]);
        float *r = tr->image;
        figures[i].noise_left = -1;
        if (((uint64_t)(tr->first + i) + tr->now.step) % DRL__NOISE_SHARE) continue;
        status = energy->eval(energy->user, 1, y, tr->t + i, tr->label + i, NULL, r);
        drl__train_noise(tr, tr->ctx, i, 0, tr->noise, size);   /* the draw that made x_t */
        drl__axpby(tr->ctx, size, (float)sigma, r, 1.0f, tr->noise, r);
        figures[i].noise_left = (double)(float)(drl__sum_squares(tr->ctx, size, r) / (double)size);
    }
    return status;
}

/* What an image of level t counts: s_1 / s_{t+1} of the batch's mean [Gao21] (8); for score matching w sigma
 * / (2 h) of the difference of F's. */
static double drl__train_weight(const drl_trainer *tr, int t)
{
    const drl_model *m = tr->model;
    double step = drl__schedule_proposal(&m->schedule, t, t + 1);
    if (tr->desc.objective == DRL_OBJECTIVE_SCORE)
        return drl__score_weight(tr, t + (tr->desc.steps < 0)) /
               (2 * DRL__SCORE_STEP * drl__model_f_scale(m, t) * (double)m->size * tr->desc.batch);
    if (m->desc.energy_form != DRL_ENERGY_PUBLISHED) return step * step / ((double)m->size * tr->desc.batch);
    return m->schedule.s[1] / m->schedule.s[t + 1] / tr->desc.batch;
}

/* Adds the gradient of sum_i weight_i f(y_i, t_i) to the net's; f receives the energies. */
static drl_status drl__train_pass(drl_trainer *tr, const float *y, float sign, float *f)
{
    const drl_schedule *sc = &tr->model->schedule;
    drl_net *net = tr->model->net;
    drl_batch b = drl_batch_of(tr->images, y, tr->level_value);
    drl_status status;
    int i, n = tr->images;
    b.label = tr->label;
    for (i = 0; i < n; ++i) {
        tr->level_value[i] = drl__schedule_level(sc, tr->t[i]);
        tr->f_weight[i] = (float)((double)sign * drl__train_weight(tr, tr->t[i]));
    }
    status = drl_net_train_forward(net, &b, f);
    return status == DRL_OK ? drl_net_train_backward(net, tr->f_weight) : status;
}

/* -----------------------------------------------------------------------------------------------------------
 * [train.step] - watch, divergence and rollback, Adam; one step over groups of images and over ranks.
 * -------------------------------------------------------------------------------------------------------- */

static void drl__level_average(double *average, double value, double rate)
{ *average += rate * (value - *average); }

static void drl__train_watch(drl_trainer *tr)
{
    int i, score = tr->desc.objective == DRL_OBJECTIVE_SCORE;
    for (i = 0; i < tr->desc.batch; ++i) {
        const drl__figures *f = &tr->figures[i];
        drl_level_report *r = &tr->level[(int)f->level];
        double rate = r->images < 49 ? 1 / (r->images + 1) : 0.02;
        drl__level_average(&r->f_pos, f->f_pos, rate);
        drl__level_average(&r->f_neg, f->f_neg, rate);
        drl__level_average(&r->gradient, f->gradient, rate);
        drl__level_average(&r->displacement, f->displacement, rate);
        if (tr->model->initializer)
            drl__level_average(&r->initializer_noise_left, f->initializer_noise_left, rate);
        if (!score) rate = r->noise_left > 0 ? 0.05 : 1;        /* of few images */
        if (f->noise_left >= 0) drl__level_average(&r->noise_left, f->noise_left, rate);
        r->images += 1;
    }
}

/* Chains remove about as much noise as was added: a batch that moves this many times as far has lost its
 * way, and the energies that sent it there will be steeper after the next update. This is how divergence
 * begins, tens of steps before anything is infinite. During warm-up the weights are much as they were
 * drawn, some of them steep, and four times as far is no sign yet. */
#define DRL__EXPLODED_MOVE  5.0
/* A gradient this many times its running average, or an energy of this size, is an explosion, not noise. */
#define DRL__EXPLODED_RATIO 100.0
#define DRL__EXPLODED_F     1e9

static drl_status drl__diverged(drl_trainer *tr, drl_status before, const char *what, double value)
{
    if (before == DRL_OK) drl_ctx_clear(tr->ctx);       /* this sentence replaces a more special one */
    return drl__fail(tr->ctx, DRL_E_DIVERGED,
                     "training has diverged at step %u: %s (%g); the weights are those before the "
                     "step, drl_trainer_rollback goes back to step %u",
                     tr->now.step + 1, what, value, tr->good.step);
}

/* Clip, Adam, average: one pass over a network's blocks. */
static void drl__part_update(drl_trainer *tr, drl__part *part, double norm, double rate)
{
    double beta1 = tr->desc.beta1 > 0 ? (double)tr->desc.beta1 : 0.0;
    double beta2 = tr->desc.beta2 > 0 ? (double)tr->desc.beta2 : 0.0;
    double scale = tr->desc.clip > 0 && norm > (double)tr->desc.clip ? (double)tr->desc.clip / norm : 1.0;
    double decay = (1.0 + (double)tr->now.step) / (10.0 + (double)tr->now.step);
    if (decay > (double)tr->desc.ema) decay = tr->desc.ema > 0 ? (double)tr->desc.ema : 0.0;
    drl__adam_update(tr->ctx, part->params, part->net->params, part->net->grads,
                     part->adam_m, part->adam_v, part->ema, (float)scale, (float)beta1, (float)beta2,
                     (float)(rate / (1 - tr->now.beta1_power)), (float)(1 / sqrt(1 - tr->now.beta2_power)),
                     1e-8f, (float)decay);
    drl_net_refresh(part->net, 1);
}

typedef struct drl__step {                  /* what a step has come to */
    drl_status before;                      /* of the context */
    double loss, initializer_loss;
    double norm, initializer_norm;          /* of the gradients by the parameters */
    double rate, initializer_rate;          /* the learning rates */
} drl__step;

/* What a rank is given for its part of a step. */
static drl_status drl__step_check(const drl_trainer *tr, const float *x0, const int *labels)
{
    const drl_model *m = tr->model;
    int i;
    if (drl__bad_floats(x0))
        return drl__fail(tr->ctx, DRL_E_ARGUMENT,
                         "drl_trainer_step: a trainer and its images are needed, aligned as floats are");
    if (tr->averaged)
        return drl__fail(tr->ctx, DRL_E_ARGUMENT,
                         "drl_trainer_step: the model holds the averaged weights; call "
                         "drl_trainer_swap_average first");
    for (i = 0; i < tr->groups * tr->images; ++i) {
        if (!(drl__sum_squares(tr->ctx, m->size, x0 + (size_t)i * m->size) < 1e12))
            return drl__fail(tr->ctx, DRL_E_NUMERIC,
                             "drl_trainer_step: image %d has pixels that are not finite, or huge", i);
        if (labels && (labels[i] < 0 || labels[i] > m->desc.classes))
            return drl__fail(tr->ctx, DRL_E_ARGUMENT,
                             "drl_trainer_step: label %d of image %d; 0 to %d are possible",
                             labels[i], i, m->desc.classes);
    }
    return DRL_OK;
}

/* One group, from its images to its figures and to its gradients of both losses by the (effective) weights:
 * [Gao21] (8), one pass at y_pos and one at y_neg, and the initializer's. */
static drl_status drl__step_group(drl_trainer *tr, const drl_energy *energy, const float *x0,
                                  const int *labels)
{
    drl_net *net = tr->model->net;
    drl__figures *figures = tr->figures + tr->first;
    int i, recovery = tr->desc.objective == DRL_OBJECTIVE_RECOVERY;
    drl_status status = DRL_OK;
    drl__diffuse(tr, x0, labels);                                       /* y_pos and x_{t+1} */
    if (tr->model->initializer) status = drl__train_propose(tr);        /* y_0 */
    if (status != DRL_OK) return status;
    /* y_neg: the ends of the chains, or the second points of score matching */
    status = recovery ? drl__train_chains(tr, energy, figures) : drl__train_score(tr, energy, figures);
    if (status == DRL_E_NUMERIC) return DRL_E_DIVERGED;
    if (status != DRL_OK) return status;
    memset(net->grads, 0, tr->part[0].params * sizeof(float));
    status = drl__train_pass(tr, tr->y_pos, -1.0f, tr->f_pos);
    if (status == DRL_OK) status = drl__train_pass(tr, tr->y_neg, 1.0f, tr->f_neg);
    if (status == DRL_OK && tr->model->initializer) status = drl__train_initializer(tr, figures);
    if (status == DRL_OK && recovery) status = drl__train_noise_left(tr, energy, figures);
    for (i = 0; i < tr->images; ++i) {
        drl__figures *f = &figures[i];
        f->level = tr->t[i];
        f->f_pos = (double)tr->f_pos[i];
        f->f_neg = (double)tr->f_neg[i];
        if (recovery) f->loss = (f->f_neg - f->f_pos) * drl__train_weight(tr, tr->t[i]);
    }
    return status;
}

/* Adds the gradient of the rank's group number `group` to those before it, in the order of a binary tree:
 * pairs of groups, pairs of pairs, and so on. The sum of 2^k groups waits in block k of `sums` for that of
 * the next 2^k, and the last group ends with the sum of all. */
static void drl__gradients_add(drl_trainer *tr, int group)
{
    int i, k;
    for (i = 0; i < tr->parts; ++i) {
        drl__part *part = &tr->part[i];
        float *sum = part->net->grads;
        for (k = 0; group >> k & 1; ++k)
            drl__axpby(tr->ctx, part->params, 1.0f, part->sums + (size_t)k * part->params, 1.0f, sum, sum);
        if (group + 1 < tr->groups)
            memcpy(part->sums + (size_t)k * part->params, sum, part->params * sizeof *sum);
    }
}

static drl_status drl__ranks_add(drl_trainer *tr, float *sum, size_t count)
{
    drl_status status = tr->desc.ranks > 1 ? tr->desc.reduce(tr->desc.reduce_user, sum, count) : DRL_OK;
    if (status == DRL_OK) return DRL_OK;
    return drl__fail(tr->ctx, status, "drl_trainer: `reduce`, which adds up %d ranks, has failed: %s",
                     tr->desc.ranks, drl_status_text(status));
}

/* The first `count` numbers from tr->rank on, of which every rank has set its own and left zero the others,
 * become those of all ranks. A number travels as four whole numbers of 16 bits, which floats add exactly. */
static drl_status drl__ranks_gather(drl_trainer *tr, size_t count)
{
    double *number = (double *)(void *)tr->rank;
    drl_status status;
    size_t i;
    int k;
    if (tr->desc.ranks < 2) return DRL_OK;
    for (i = 0; i < count; ++i)
        for (k = 0; k < 4; ++k)
            tr->words[4 * i + (size_t)k] = (float)(drl__bits64(number[i]) >> 16 * k & 0xFFFF);
    status = drl__ranks_add(tr, tr->words, 4 * count);
    if (status != DRL_OK) return status;
    for (i = 0; i < count; ++i) {
        uint64_t bits = 0;
        for (k = 3; k >= 0; --k) {
            float word = tr->words[4 * i + (size_t)k];
            if (!(word >= 0 && word <= 65535 && word == (float)(uint32_t)word))
                return drl__fail(tr->ctx, DRL_E_ARGUMENT,
                                 "drl_trainer: `reduce` gives %g as a sum of whole numbers; 0 to 65535 "
                                 "are possible", (double)word);
            bits = bits << 16 | (uint32_t)word;
        }
        memcpy(&number[i], &bits, sizeof bits);
    }
    return DRL_OK;
}

/* Tells the others this rank's status, mark and figures of its images; tr->rank, and of tr->figures the first
 * `images`, are then those of all ranks. Returns the same for each rank: the first failure; if there is none,
 * DRL_E_DIVERGED where a rank has diverged. `before` is the context's status before the call. */
static drl_status drl__ranks_agree(drl_trainer *tr, drl_status before, drl_status own, uint32_t mark,
                                   int images)
{
    drl_status worst = DRL_OK, status;
    size_t numbers = (size_t)tr->desc.ranks * (sizeof(drl__rank) / sizeof(double)) +
                     (size_t)images * (sizeof(drl__figures) / sizeof(double));
    int i, who = 0;
    memset(tr->rank, 0, (size_t)tr->desc.ranks * sizeof *tr->rank);
    tr->rank[tr->desc.rank].status = own;
    tr->rank[tr->desc.rank].mark = mark;
    status = drl__ranks_gather(tr, numbers);
    if (status != DRL_OK) return status;
    for (i = 0; i < tr->desc.ranks; ++i) {
        double number = tr->rank[i].status;
        status = number >= 0 && number < (double)DRL__STATUS_END ? (drl_status)(int)number : DRL_E_ARGUMENT;
        if (status == DRL_OK || (worst != DRL_OK && worst != DRL_E_DIVERGED)) continue;
        if (status == DRL_E_DIVERGED && worst == DRL_E_DIVERGED) continue;
        worst = status;
        who = i;
    }
    if (worst != DRL_OK && worst != DRL_E_DIVERGED && who != tr->desc.rank) {
        if (before == DRL_OK) drl_ctx_clear(tr->ctx);           /* of a failure that counts less */
        return drl__fail(tr->ctx, worst, "drl_trainer: rank %d has failed: %s", who, drl_status_text(worst));
    }
    for (i = 1; i < tr->desc.ranks && worst == DRL_OK; ++i)
        if (tr->rank[i].mark != tr->rank[0].mark)
            return drl__fail(tr->ctx, DRL_E_ARGUMENT,
                             "drl_trainer: ranks 0 and %d differ in their descriptions, steps or weights; "
                             "these have to be the same", i);
    return worst;
}

#define DRL__HASH_START 2166136261u

/* FNV-1a over the number's bits, low byte first. */
static uint32_t drl__hash_double(uint32_t hash, double v)
{
    uint64_t u = drl__bits64(v);
    int i;
    for (i = 0; i < 64; i += 8) hash = (hash ^ (uint32_t)(u >> i & 255)) * 16777619u;
    return hash;
}

/* A hash of what ranks have in common: what a checkpoint says, and the weights. */
static uint32_t drl__trainer_mark(const drl_trainer *tr)
{
    char text[3][DRL__DESCRIBE_MAX];
    uint32_t hash = DRL__HASH_START;
    const char *c;
    int i;
    if (tr->desc.ranks < 2) return 0;
    drl__model_to_text(&tr->model->desc, text[0], sizeof text[0]);
    drl__describe(drl__train_fields, DRL__COUNT(drl__train_fields), &tr->desc, text[1], sizeof text[1]);
    drl__describe(drl__state_fields, DRL__COUNT(drl__state_fields), &tr->now, text[2], sizeof text[2]);
    for (i = 0; i < 3; ++i)
        for (c = text[i]; *c; ++c) hash = (hash ^ (unsigned char)*c) * 16777619u;
    for (i = 0; i < tr->parts; ++i)
        hash = drl__hash_double(hash, drl__sum_squares(tr->ctx, tr->part[i].params, tr->part[i].net->params));
    return hash;
}

/* Losses, and whether chains or energies have exploded, from the figures of the whole batch. */
static drl_status drl__step_judge(drl_trainer *tr, drl__step *s)
{
    int warmup = tr->desc.warmup ? drl__max(tr->desc.warmup, 0) : DRL__WARMUP;  /* a run's may be shorter */
    int i, recovery = tr->desc.objective == DRL_OBJECTIVE_RECOVERY;
    double largest = 0, moved = 0;
    for (i = 0; i < tr->desc.batch; ++i) {
        const drl__figures *f = &tr->figures[i];
        double larger = fabs(f->f_pos) > fabs(f->f_neg) ? fabs(f->f_pos) : fabs(f->f_neg);
        if (!(f->level >= 0 && f->level < tr->model->desc.levels))
            return drl__fail(tr->ctx, DRL_E_ARGUMENT, "drl_trainer: `reduce` gives image %d level %g of %d",
                             i, f->level, tr->model->desc.levels);
        s->loss += f->loss;
        s->initializer_loss += f->initializer_loss;
        if (recovery) moved += f->displacement / tr->desc.batch;
        if (!(larger <= largest)) largest = larger;
    }
    if (!(moved <= DRL__EXPLODED_MOVE * (tr->now.step < (uint64_t)warmup ? 4 : 1)))
        return drl__diverged(tr, s->before, "chains run away; mean move over the noise that was added",
                             moved);
    if (!(largest <= DRL__EXPLODED_F) || !(s->loss == s->loss))
        return drl__diverged(tr, s->before, "an energy is not finite or explodes", largest);
    return DRL_OK;
}

/* Gradients of the whole batch by the parameters, and whether they have exploded. */
static drl_status drl__step_gradients(drl_trainer *tr, drl__step *s)
{
    drl_status status = DRL_OK;
    int i;
    for (i = 0; i < tr->parts && status == DRL_OK; ++i)
        status = drl__ranks_add(tr, tr->part[i].net->grads, tr->part[i].params);
    if (status != DRL_OK) return status;
    drl_net_spectral_grads(tr->model->net);
    s->norm = sqrt(drl__sum_squares(tr->ctx, tr->part[0].params, tr->model->net->grads));
    if (!(s->norm < 1e30) ||
        (tr->now.step >= 100 && s->norm > DRL__EXPLODED_RATIO * tr->now.grad_average && s->norm > 1))
        return drl__diverged(tr, s->before, "the gradient is not finite or explodes, norm", s->norm);
    if (tr->model->initializer)
        s->initializer_norm = sqrt(drl__sum_squares(tr->ctx, tr->part[1].params, tr->part[1].net->grads));
    if (!(s->initializer_norm < 1e30))
        return drl__diverged(tr, s->before, "the initializer's gradient is not finite, norm",
                             s->initializer_norm);
    return DRL_OK;
}

/* Both networks' parameters, moments and averages. The initializer's warm-up begins at a twentieth
 * [Zhu24]. */
static void drl__step_update(drl_trainer *tr, drl__step *s)
{
    double rate = tr->now.rate_scale * tr->now.rate_factor, warm = 1, initializer_warm = 1;
    if (tr->now.step < (uint64_t)tr->now.warmup) {
        warm = ((double)tr->now.step + 1) / tr->now.warmup;
        initializer_warm = warm + 0.05 < 1 ? warm + 0.05 : 1;
    }
    s->rate = rate * warm * (double)tr->desc.learning_rate;
    drl__level_average(&tr->now.grad_average, s->norm,
                       tr->now.step < 99 ? 1.0 / ((double)tr->now.step + 1) : 0.01);
    tr->now.beta1_power *= tr->desc.beta1 > 0 ? (double)tr->desc.beta1 : 0.0;
    tr->now.beta2_power *= tr->desc.beta2 > 0 ? (double)tr->desc.beta2 : 0.0;
    drl__part_update(tr, &tr->part[0], s->norm, s->rate);
    if (tr->model->initializer) {
        s->initializer_rate = rate * initializer_warm * (double)tr->desc.initializer_rate;
        drl__part_update(tr, &tr->part[1], s->initializer_norm, s->initializer_rate);
    }
    ++tr->now.step;
    if (tr->desc.snapshot > 0 && tr->now.step % (uint64_t)tr->desc.snapshot == 0) drl__trainer_keep(tr);
}

static void drl__step_report(const drl_trainer *tr, const drl__step *s, drl_train_report *report)
{
    memset(report, 0, sizeof *report);
    report->step = tr->now.step;
    report->loss = s->loss;
    report->grad_norm = s->norm;
    report->initializer_loss = s->initializer_loss;
    report->initializer_grad_norm = s->initializer_norm;
    report->learning_rate = s->rate;
    report->initializer_rate = s->initializer_rate;
    report->rollbacks = tr->now.rollbacks;
    report->levels = tr->model->desc.levels;
    report->level = tr->level;
    report->total = tr->now.total;
    report->seconds = tr->now.seconds;
}

/* Algorithm 1 of [Gao21], with the initializer of [Zhu24]. A rank that has no images has `failed`, and comes
 * here to tell the others. */
static drl_status drl__trainer_step(drl_trainer *tr, const float *x0, const int *labels, drl_status failed,
                                    drl_train_report *report)
{
    drl_energy energy = drl_model_energy(tr->model);
    drl_status status = failed;
    drl__step s;
    int group;
    memset(&s, 0, sizeof s);
    s.before = tr->ctx->status;
    memset(tr->figures, 0, (size_t)tr->desc.batch * sizeof *tr->figures);
    if (status == DRL_OK) status = drl__step_check(tr, x0, labels);
    for (group = 0; group < tr->groups && status == DRL_OK; ++group) {
        size_t at = (size_t)group * (size_t)tr->images;
        tr->first = (tr->desc.rank * tr->groups + group) * tr->images;
        status = drl__step_group(tr, &energy, x0 + at * tr->model->size, labels ? labels + at : NULL);
        if (status == DRL_OK) drl__gradients_add(tr, group);
    }
    status = drl__ranks_agree(tr, s.before, status, drl__trainer_mark(tr), tr->desc.batch);
    if (status == DRL_E_DIVERGED)
        return drl__diverged(tr, s.before, "a chain has left the finite numbers", 0);
    if (status == DRL_OK) status = drl__step_judge(tr, &s);
    if (status == DRL_OK) status = drl__step_gradients(tr, &s);
    if (status != DRL_OK) return status;

    /* nothing can fail from here on */
    drl__train_watch(tr);
    drl__step_update(tr, &s);
    if (report) drl__step_report(tr, &s, report);
    return DRL_OK;
}

DRL__CALL(drl_status, drl_trainer_step,
    (drl_trainer *tr, const float *x0, const int *labels, drl_train_report *report),
    (tr, x0, labels, report))
{
    if (!tr)
        return drl__fail(NULL, DRL_E_ARGUMENT,
                         "drl_trainer_step: a trainer and its images are needed, aligned as floats are");
    return drl__trainer_step(tr, x0, labels, DRL_OK, report);
}

DRL__CALL(drl_status, drl_trainer_rollback, (drl_trainer *tr), (tr))
{
    int rollbacks, warmup, i;
    double rate_scale, planned;
    uint64_t total;
    if (!tr) return DRL_E_ARGUMENT;
    if (tr->desc.snapshot < 0)
        return drl__fail(tr->ctx, DRL_E_ARGUMENT,
                         "drl_trainer_rollback: no good state is kept, `snapshot` is negative");
    if (tr->averaged)
        return drl__fail(tr->ctx, DRL_E_ARGUMENT,
                         "drl_trainer_rollback: the model holds the averaged weights; call "
                         "drl_trainer_swap_average first");
    if (tr->now.rollbacks - tr->good.rollbacks >= DRL_ROLLBACKS_MAX)
        return drl__fail(tr->ctx, DRL_E_DIVERGED,
                         "drl_trainer_rollback: %d rollbacks to step %u have not led to a later good state, "
                         "with the learning rate down to %g of its value there; resume an older checkpoint",
                         DRL_ROLLBACKS_MAX, tr->good.step,
                         tr->good.rate_scale > 0 ? tr->now.rate_scale / tr->good.rate_scale : 0.0);
    for (i = 0; i < tr->parts; ++i) {
        drl__part_copy(&tr->part[i], 1);
        drl__net_prepare(tr->part[i].net, DRL__NORM_KEPT);
    }
    memcpy(tr->level, tr->good_level, (size_t)tr->model->desc.levels * sizeof *tr->level);
    rollbacks = tr->now.rollbacks + 1;
    rate_scale = tr->now.rate_scale * 0.5;
    total = tr->now.total;
    planned = tr->now.planned;
    warmup = tr->now.warmup;
    tr->now = tr->good;
    tr->now.warmup = warmup;
    tr->now.total = total;
    tr->now.planned = planned;
    tr->now.rollbacks = rollbacks;
    tr->now.rate_scale = rate_scale;
    return DRL_OK;
}

DRL__CALL(drl_status, drl_trainer_swap_average, (drl_trainer *tr), (tr))
{
    size_t k;
    int i;
    if (!tr) return DRL_E_ARGUMENT;
    tr->averaged = !tr->averaged;
    for (i = 0; i < tr->parts; ++i) {
        drl__part *part = &tr->part[i];
        for (k = 0; k < part->params; ++k) {
            float p = part->net->params[k];
            part->net->params[k] = part->ema[k];
            part->ema[k] = p;
        }
        if (tr->averaged) memcpy(part->kept_state, part->net->state, part->state * sizeof(float));
        else memcpy(part->net->state, part->kept_state, part->state * sizeof(float));
        drl__net_prepare(part->net, tr->averaged ? DRL__NORM_CONVERGED : DRL__NORM_KEPT);
    }
    return DRL_OK;
}


/* -----------------------------------------------------------------------------------------------------------
 * [train.run] - drl_train: which images, how the rate falls, when it ends.
 * -------------------------------------------------------------------------------------------------------- */

/* What a description asks for that cannot be done, as a sentence in the context. */
static drl_status drl__run_check(const drl_trainer *tr, const drl_dataset *data, const drl_run_desc *d)
{
    drl_ctx *ctx = tr->ctx;
    int by_time;
    if (!d) return drl__fail(ctx, DRL_E_ARGUMENT, "drl_train: a trainer and a description are needed");
    if (drl__zeroed(ctx, "drl_run_desc", d->canary) != DRL_OK) return DRL_E_ARGUMENT;
    by_time = d->seconds > 0;
    if (!data == !d->source)
        return drl__fail(ctx, DRL_E_ARGUMENT, "drl_train: either a data set or a source of images is needed");
    if (d->steps && d->seconds != 0)
        return drl__fail(ctx, DRL_E_ARGUMENT,
                         "drl_train: %u steps and %g seconds; give one of them", d->steps, d->seconds);
    if (d->steps >= DRL__STEPS_MAX)
        return drl__fail(ctx, DRL_E_ARGUMENT,
                         "drl_train: %u steps; at most %u are possible", d->steps, DRL__STEPS_MAX - 1);
    if (!(d->seconds >= 0 && d->seconds < DRL__SECONDS_MAX))
        return drl__fail(ctx, DRL_E_ARGUMENT,
                         "drl_train: %g seconds; more than 0 are needed, less than %g",
                         d->seconds, DRL__SECONDS_MAX);
    if (by_time && !d->clock)
        return drl__fail(ctx, DRL_E_ARGUMENT,
                         "drl_train: %g seconds, and no clock to measure them", d->seconds);
    if (!(d->fall <= (by_time ? 0.9 : 1.0)))
        return drl__fail(ctx, DRL_E_ARGUMENT,
                         "drl_train: the rate is to fall over %g of the run; at most %g is possible",
                         d->fall, by_time ? 0.9 : 1.0);
    if (!d->steps && !by_time && !tr->now.total && !(tr->now.planned > 0))
        return drl__fail(ctx, DRL_E_ARGUMENT,
                         "drl_train: give steps or seconds; this trainer has no run behind it that could go "
                         "on");
    if (!d->steps && !tr->now.total && !d->clock)
        return drl__fail(ctx, DRL_E_ARGUMENT,
                         "drl_train: the run to go on with is one of %g seconds, and there is no clock",
                         tr->now.planned);
    if (data) {
        drl_status status = drl__ds_check(ctx, "drl_train", data);
        if (status != DRL_OK) return status;
        if (data->channels != tr->model->desc.channels)
            return drl__fail(ctx, DRL_E_SHAPE, "drl_train: the data has %d channels, the model %d",
                             data->channels, tr->model->desc.channels);
    }
    if (d->balanced && (!data || !data->labels))
        return drl__fail(ctx, DRL_E_ARGUMENT, "drl_train: `balanced` needs a data set with labels");
    if (tr->averaged)
        return drl__fail(ctx, DRL_E_ARGUMENT,
                         "drl_train: the model holds the averaged weights; call drl_trainer_swap_average "
                         "first");
    return DRL_OK;
}

/* For drawing classes equally often: the images in the order of their classes, those of class k in
 * first[k] .. first[k + 1] - 1, without classes that have none. */
typedef struct drl__classes {
    int count, first[257];
    int *image;                             /* [data->count] */
} drl__classes;

static void drl__classes_sort(const drl_dataset *data, drl__classes *by)
{
    int images[256] = { 0 }, next[256], label, i, k = 0;
    by->count = 0;
    for (i = 0; i < data->count; ++i) ++images[data->labels[i]];
    for (label = 0; label < 256; ++label) {
        next[label] = k;
        if (images[label]) by->first[by->count++] = k;
        k += images[label];
    }
    by->first[by->count] = k;
    for (i = 0; i < data->count; ++i) by->image[next[data->labels[i]]++] = i;
}

static drl_status drl__classes_batch(drl_trainer *tr, const drl_dataset *data, const drl__classes *by,
                                     drl_rng *rng, float *x0, int *labels)
{
    const drl_model_desc *d = &tr->model->desc;
    drl_status status = DRL_OK;
    int i;
    DRL_ASSERT(by->count > 0);
    for (i = 0; i < tr->images && status == DRL_OK; ++i) {
        int k = drl_rng_below(rng, by->count), n = by->first[k + 1] - by->first[k];
        int index = by->image[by->first[k] + drl_rng_below(rng, n)];
        float *to = x0 + (size_t)i * tr->model->size;
        status = drl_dataset_image(tr->ctx, data, index, d->height, d->width, to);
        if (labels) labels[i] = data->labels[index];
    }
    return status;
}

/* The images of all groups of the rank. Data sets draw by an image's number in the batch. A source takes as
 * many draws as it likes, so every group has its own. */
static drl_status drl__run_images(drl_trainer *tr, const drl_dataset *data, const drl__classes *by,
                                  const drl_run_desc *desc, float *x0, int *labels)
{
    const drl_model_desc *d = &tr->model->desc;
    drl_status status = DRL_OK;
    int i;
    for (i = 0; i < tr->groups && status == DRL_OK; ++i) {
        drl_rng rng = drl__trainer_rng(tr);
        uint64_t group = (uint64_t)tr->desc.rank * (uint64_t)tr->groups + (uint64_t)i;
        uint64_t first = group * (uint64_t)tr->images;
        size_t at = (size_t)i * (size_t)tr->images;
        float *x = x0 + at * tr->model->size;
        int *label = labels ? labels + at : NULL;
        if (desc->balanced) {
            rng.position = 2 * first;                           /* class and image */
            status = drl__classes_batch(tr, data, by, &rng, x, label);
        } else if (data) {
            rng.position = first;
            status = drl_dataset_batch(tr->ctx, data, &rng, tr->images, d->height, d->width, x, label);
        } else {
            rng.position = group << 32;
            status = desc->source(desc->user, tr->ctx, &rng, tr->images, x, label);
        }
    }
    return status;
}

/* *value becomes the first rank's, or for `any` one that is not zero, if some rank has one. */
static drl_status drl__ranks_tell(drl_trainer *tr, double *value, int any)
{
    double *number = (double *)(void *)tr->rank;
    drl_status status;
    int i;
    memset(number, 0, (size_t)tr->desc.ranks * sizeof *number);
    number[tr->desc.rank] = *value;
    status = drl__ranks_gather(tr, (size_t)tr->desc.ranks);
    if (status != DRL_OK) return status;
    *value = number[0];
    for (i = 1; i < tr->desc.ranks && any && *value == 0; ++i) *value = number[i];
    return DRL_OK;
}

/* The warm-up of a run whose description leaves it open, from its number of steps. */
static int drl__run_warmup(double total)
{
    double share = total / DRL__WARMUP_SHARE;
    return share < DRL__WARMUP ? (int)share : DRL__WARMUP;
}

/* The block of a run: images and labels of a step and, if `balanced`, the data set's images by class. *labels
 * stays NULL when there are none. */
static drl_status drl__run_memory(drl_trainer *tr, const drl_dataset *data, const drl_run_desc *desc,
                                  drl__classes *by, float **x0, int **labels)
{
    size_t count = (size_t)tr->groups * (size_t)tr->images, order, all;
    size_t images = count * tr->model->size * sizeof **x0;      /* fits, as the trainer's blocks */
    size_t bytes = images + count * sizeof **labels;
    if (!drl__mul_fits(desc->balanced ? (size_t)data->count : 0, sizeof *by->image, &order) ||
        !drl__add_fits(bytes, order, &all))
        all = SIZE_MAX;                     /* the allocator says that there is no such memory */
    *x0 = (float *)drl__alloc(tr->ctx, all);
    if (!*x0) return DRL_E_MEMORY;
    if (desc->balanced) {
        by->image = (int *)(void *)((unsigned char *)(void *)*x0 + bytes);
        drl__classes_sort(data, by);
    }
    if (tr->model->desc.classes && (!data || data->labels))
        *labels = (int *)(void *)((unsigned char *)(void *)*x0 + images);
    return DRL_OK;
}

/* How long the run is to be: in steps, or in seconds, which a later step turns into steps. */
static void drl__run_begin(drl_trainer *tr, const drl_run_desc *desc)
{
    if (desc->steps) {
        tr->now.total = desc->steps;
        tr->now.planned = 0;
        if (!tr->desc.warmup) tr->now.warmup = drl__run_warmup((double)desc->steps);
    } else if (desc->seconds > 0 && !(desc->seconds == tr->now.planned)) {
        tr->now.total = 0;
        tr->now.planned = desc->seconds;
    }
}

/* Before a step: the warm-up and the number of steps of a run in seconds, once they can be told from the time
 * so far, and the rate, which falls over the last share `fall` of the run. Returns 0 after the last step. */
static int drl__run_next(drl_trainer *tr, double fall)
{
    double left = 1;                        /* of the rate */
    if (!tr->desc.warmup && !tr->now.total && tr->now.step == DRL__WARMUP_PROBE && tr->now.seconds > 0)
        tr->now.warmup = drl__run_warmup(DRL__WARMUP_PROBE * tr->now.planned / tr->now.seconds);
    if (!tr->now.total && tr->now.step && tr->now.seconds >= (1 - fall) * tr->now.planned) {
        double total = (double)tr->now.step * tr->now.planned / tr->now.seconds;
        int fits = total < (double)(DRL__STEPS_MAX - 1);
        tr->now.total = total < 1 ? 1 : fits ? (uint64_t)(total + 0.5) : DRL__STEPS_MAX - 1;
    }
    if (tr->now.total && tr->now.step >= tr->now.total) return 0;
    if (tr->now.total && fall > 0)
        left = (1 - (double)tr->now.step / (double)tr->now.total) * (1 / fall);
    tr->now.rate_factor = left < 1 ? left : 1.0;
    return 1;
}

DRL__CALL(drl_status, drl_train,
    (drl_trainer *tr, const drl_dataset *data, const drl_run_desc *desc),
    (tr, data, desc))
{
    drl__classes by;
    drl_train_report report;
    drl_status status, before, told;
    float *x0 = NULL;
    int *labels = NULL, limit = 0;
    uint32_t mark = DRL__HASH_START;
    double fall = 0, start = 0, stop = 0;
    if (!tr)
        return drl__fail(NULL, DRL_E_ARGUMENT, "drl_train: a trainer and a description are needed");
    memset(&by, 0, sizeof by);
    before = tr->ctx->status;
    status = drl__run_check(tr, data, desc);
    if (status == DRL_OK) status = drl__run_memory(tr, data, desc, &by, &x0, &labels);
    if (status == DRL_OK) {
        fall = desc->fall == 0 ? 0.5 : desc->fall < 0 ? 0.0 : desc->fall;
        limit = !desc->rollbacks ? 5 : desc->rollbacks < 0 || tr->desc.snapshot < 0 ? 0 : desc->rollbacks;
        mark = drl__hash_double(drl__hash_double(mark, (double)desc->steps), desc->seconds);
        mark = drl__hash_double(drl__hash_double(mark, fall), limit);
        mark = drl__hash_double(mark, desc->balanced != 0);
    }
    status = drl__ranks_agree(tr, before, status, mark, 0);
    if (status != DRL_OK) {
        drl__free(tr->ctx, x0);
        return status;
    }
    drl__run_begin(tr, desc);
    memset(&report, 0, sizeof report);
    while (stop == 0 && drl__run_next(tr, fall)) {
        double spent = 0;
        before = tr->ctx->status;
        if (desc->clock) start = desc->clock(desc->user);
        status = drl__run_images(tr, data, &by, desc, x0, labels);
        status = drl__trainer_step(tr, x0, labels, status, &report);
        if (status != DRL_OK && status != DRL_E_DIVERGED) break;
        if (desc->clock) spent = desc->clock(desc->user) - start;
        told = drl__ranks_tell(tr, &spent, 0);
        if (told != DRL_OK) {
            status = told;
            break;
        }
        /* not when the clock was set back */
        if (spent > 0 && spent < DRL__SECONDS_MAX / 2 - tr->now.seconds) tr->now.seconds += spent;
        report.seconds = tr->now.seconds;
        if (status == DRL_E_DIVERGED && tr->now.rollbacks >= limit) break;
        if (status == DRL_E_DIVERGED) report.diverged = drl_ctx_message(tr->ctx);
        if (desc->on_step) stop = desc->on_step(desc->user, &report);
        report.diverged = NULL;
        if (status == DRL_E_DIVERGED) {
            if (before == DRL_OK) drl_ctx_clear(tr->ctx);
            status = drl_trainer_rollback(tr);
        }
        if (status == DRL_OK) status = drl__ranks_tell(tr, &stop, 1);
        if (status != DRL_OK) break;
    }
    drl__free(tr->ctx, x0);
    return status == DRL_OK && stop != 0 ? DRL_RUNNING : status;
}

/* A checkpoint's arrays: level reports, then of each network weights, average, both moments, power
 * iterations (if it has any). */
#define DRL__CHECKPOINT_ARRAYS 11

/* -----------------------------------------------------------------------------------------------------------
 * [train.checkpoint] - saving and resuming.
 * -------------------------------------------------------------------------------------------------------- */

static int drl__checkpoint_arrays(drl_trainer *tr, drl_array *array)
{
    static const char *const names[2][5] = {
        { "train.params", "train.ema", "train.adam_m", "train.adam_v", "train.power" },
        { "train.initializer.params", "train.initializer.ema", "train.initializer.adam_m",
          "train.initializer.adam_v", "train.initializer.power" } };
    size_t levels[2];
    int i, k = 0;
    levels[0] = (size_t)tr->model->desc.levels;
    levels[1] = sizeof(drl_level_report) / sizeof(double);
    DRL_ASSERT(tr->parts <= 2);
    array[k++] = drl_array_of("train.levels", DRL_DTYPE_F64, 2, levels, tr->level);
    for (i = 0; i < tr->parts; ++i) {
        drl__part *part = &tr->part[i];
        array[k++] = drl_array_of(names[i][0], DRL_DTYPE_F32, 1, &part->params, part->net->params);
        array[k++] = drl_array_of(names[i][1], DRL_DTYPE_F32, 1, &part->params, part->ema);
        array[k++] = drl_array_of(names[i][2], DRL_DTYPE_F32, 1, &part->params, part->adam_m);
        array[k++] = drl_array_of(names[i][3], DRL_DTYPE_F32, 1, &part->params, part->adam_v);
        if (part->state)
            array[k++] = drl_array_of(names[i][4], DRL_DTYPE_F32, 1, &part->state, part->net->state);
    }
    return k;
}

static drl_status drl__weights_are_own(drl_trainer *tr, const char *who)
{
    if (!tr->averaged) return DRL_OK;
    return drl__fail(tr->ctx, DRL_E_ARGUMENT,
                     "%s: the model holds the averaged weights; call drl_trainer_swap_average first", who);
}

/* What a checkpoint holds, ready to be written; the arrays point into the trainer. */
typedef struct drl__checkpoint {
    drl_array array[DRL__CHECKPOINT_ARRAYS];
    char model[DRL__DESCRIBE_MAX], train[DRL__DESCRIBE_MAX], state[DRL__DESCRIBE_MAX];
    const char *meta[6];
    drl_safetensors_desc desc;
} drl__checkpoint;

static drl_status drl__checkpoint_make(drl_trainer *tr, const char *who, drl__checkpoint *c)
{
    drl_status status = drl__weights_are_own(tr, who);
    if (status != DRL_OK) return status;
    memset(&c->desc, 0, sizeof c->desc);
    drl__model_to_text(&tr->model->desc, c->model, sizeof c->model);
    drl__describe(drl__train_fields, DRL__COUNT(drl__train_fields), &tr->desc, c->train, sizeof c->train);
    drl__describe(drl__state_fields, DRL__COUNT(drl__state_fields), &tr->now, c->state, sizeof c->state);
    c->meta[0] = "drl.model";
    c->meta[1] = c->model;
    c->meta[2] = "drl.train";
    c->meta[3] = c->train;
    c->meta[4] = "drl.state";
    c->meta[5] = c->state;
    c->desc.arrays = c->array;
    c->desc.count = (size_t)drl__checkpoint_arrays(tr, c->array);
    c->desc.meta = c->meta;
    c->desc.meta_count = 3;
    return DRL_OK;
}

DRL__CALL(drl_status, drl_trainer_save_memory,
    (drl_trainer *tr, void *dst, size_t capacity, size_t *written),
    (tr, dst, capacity, written))
{
    static const char who[] = "drl_trainer_save_memory";
    drl__checkpoint c;
    drl_status status;
    if (!tr) return drl__fail(NULL, DRL_E_ARGUMENT, "%s: no trainer", who);
    status = drl__checkpoint_make(tr, who, &c);
    if (status != DRL_OK) return status;
    return drl__st_write_memory(tr->ctx, who, &c.desc, dst, capacity, written);
}

#ifndef DRL_NO_STDIO
DRL__CALL(drl_status, drl_trainer_save, (drl_trainer *tr, const char *path), (tr, path))
{
    drl__checkpoint c;
    drl_status status;
    if (!tr || !path)
        return drl__fail(tr ? tr->ctx : NULL, DRL_E_ARGUMENT,
                         "drl_trainer_save: a trainer and a path are needed");
    status = drl__checkpoint_make(tr, "drl_trainer_save", &c);
    return status == DRL_OK ? drl_safetensors_write_file(tr->ctx, path, &c.desc) : status;
}
#endif

/* Refuses counters and factors that no run can have. Moments are divided by one minus a power of beta. */
static drl_status drl__state_check(drl_ctx *ctx, const drl__train_state *now)
{
    double most = now->step ? 1 - 1e-9 : 1;
    drl_status status = drl__check(ctx, DRL_E_FORMAT, "drl_trainer_resume",
                                   drl__state_fields, DRL__COUNT(drl__state_fields), now);
    if (status != DRL_OK) return status;
    if (now->beta1_power > most || now->beta2_power > most)
        return drl__fail(ctx, DRL_E_FORMAT,
                         "drl_trainer_resume: the powers of the betas are %g and %g after %u steps; below 1 "
                         "are possible",
                         now->beta1_power, now->beta2_power, now->step);
    return DRL_OK;
}

static drl_status drl__resume(drl_trainer *tr, const drl_safetensors *st)
{
    drl_array array[DRL__CHECKPOINT_ARRAYS];
    char own[DRL__DESCRIBE_MAX];
    const char *model = drl__safetensors_meta(st, "drl.model");
    const char *state = drl__safetensors_meta(st, "drl.state");
    drl__train_state now;
    drl_status status;
    size_t count;
    int i;
    memset(&now, 0, sizeof now);
    if (!model || !state || !drl__undescribe(drl__state_fields, DRL__COUNT(drl__state_fields), state, &now))
        return drl__fail(tr->ctx, DRL_E_FORMAT,
                         "drl_trainer_resume: the file is no checkpoint, or its state is malformed");
    if (drl__state_check(tr->ctx, &now) != DRL_OK) return DRL_E_FORMAT;
    drl__model_to_text(&tr->model->desc, own, sizeof own);
    if (strcmp(own, model))
        return drl__fail(tr->ctx, DRL_E_SHAPE, "drl_trainer_resume: the checkpoint's model is %s", model);
    count = (size_t)drl__checkpoint_arrays(tr, array);
    status = drl__st_match(tr->ctx, "drl_trainer_resume", st, array, count, 0);
    if (status != DRL_OK) return status;
    drl__st_read(st, array, count);
    tr->now = now;
    for (i = 0; i < tr->parts; ++i) drl__net_prepare(tr->part[i].net, DRL__NORM_KEPT);
    drl__trainer_keep(tr);
    return DRL_OK;
}

DRL__CALL(drl_status, drl_trainer_resume_memory,
    (drl_trainer *tr, const void *data, size_t size),
    (tr, data, size))
{
    drl_safetensors *st = NULL;
    drl_status status;
    if (!tr || !data)
        return drl__fail(tr ? tr->ctx : NULL, DRL_E_ARGUMENT,
                         "drl_trainer_resume_memory: a trainer and memory are needed");
    status = drl__weights_are_own(tr, "drl_trainer_resume_memory");
    if (status == DRL_OK) status = drl_safetensors_open_memory(tr->ctx, data, size, &st);
    if (status == DRL_OK) status = drl__resume(tr, st);
    drl_safetensors_close(st);
    return status;
}

static drl_status drl__checkpoint_describe(drl_ctx *ctx, const char *source, const drl_safetensors *st,
                                           drl_model_desc *model, drl_train_desc *train)
{
    const char *m = drl__safetensors_meta(st, "drl.model"), *t = drl__safetensors_meta(st, "drl.train");
    drl_model_desc md;
    drl_train_desc td;
    memset(&md, 0, sizeof md);
    memset(&td, 0, sizeof td);
    if (!m || !t || !drl__model_from_text(m, &md) ||
        !drl__undescribe(drl__train_fields, DRL__COUNT(drl__train_fields), t, &td))
        return drl__fail(ctx, DRL_E_FORMAT,
                         "'%s' is no checkpoint: descriptions of model and training are missing or malformed",
                         source);
    md.trainable = 1;
    md.batch = td.groups > 1 ? td.batch / td.groups : td.batch;
    *model = md;
    *train = td;
    return DRL_OK;
}

DRL__CALL(drl_status, drl_checkpoint_describe_memory,
    (drl_ctx *ctx, const void *data, size_t size, drl_model_desc *model, drl_train_desc *train),
    (ctx, data, size, model, train))
{
    drl_safetensors *st = NULL;
    drl_status status;
    if (!ctx || !data || !model || !train)
        return drl__fail(ctx, DRL_E_ARGUMENT,
                         "drl_checkpoint_describe_memory: a context, memory and two places for results are "
                         "needed");
    status = drl_safetensors_open_memory(ctx, data, size, &st);
    if (status == DRL_OK) status = drl__checkpoint_describe(ctx, "memory", st, model, train);
    drl_safetensors_close(st);
    return status;
}

#ifndef DRL_NO_STDIO
DRL__CALL(drl_status, drl_trainer_resume, (drl_trainer *tr, const char *path), (tr, path))
{
    drl_safetensors *st = NULL;
    drl_status status;
    if (!tr || !path)
        return drl__fail(tr ? tr->ctx : NULL, DRL_E_ARGUMENT,
                         "drl_trainer_resume: a trainer and a path are needed");
    status = drl__weights_are_own(tr, "drl_trainer_resume");
    if (status == DRL_OK) status = drl_safetensors_open(tr->ctx, path, &st);
    if (status == DRL_OK) status = drl__resume(tr, st);
    drl_safetensors_close(st);
    return status;
}

DRL__CALL(drl_status, drl_checkpoint_describe,
    (drl_ctx *ctx, const char *path, drl_model_desc *model, drl_train_desc *train),
    (ctx, path, model, train))
{
    drl_safetensors *st = NULL;
    drl_status status;
    if (!ctx || !path || !model || !train)
        return drl__fail(ctx, DRL_E_ARGUMENT,
                         "drl_checkpoint_describe: a context, a path and two places for results are needed");
    status = drl_safetensors_open(ctx, path, &st);
    if (status == DRL_OK) status = drl__checkpoint_describe(ctx, path, st, model, train);
    drl_safetensors_close(st);
    return status;
}
#endif

/* -----------------------------------------------------------------------------------------------------------
 * Research tools: nothing in [config] to [train] uses what follows.
 *
 * [mcmc.impl] - Markov chains, annealed importance sampling, likelihoods, and grids in the plane.
 *
 * Every log density of this section has one form:
 *   L(y) = beta F(y) - gaussian_weight / 2 * sum over j of inverse_variance_j (y_j - centre_j)^2
 * The three kinds of chains fill it in as follows:
 *   marginal       beta = 1, gaussian_weight = 0
 *   conditional    beta = 1, gaussian_weight = 1 / s_{t+1}^2, centre = x_{t+1}, inverse_variance = 1
 *   AIS            beta = beta_k, gaussian_weight = 1 - beta_k, mean and variance of the path's Gaussian
 *
 * One step of a batch of chains draws the random numbers (begin), makes `leapfrog` leapfrog steps with one
 * evaluation of F each, and decides which proposals are taken (end). A step is computed in a second set of
 * buffers, y_new and its kin, and copied over only if nothing has failed.
 * -------------------------------------------------------------------------------------------------------- */

/* schedule NULL: there is no highest level. */
static drl_status drl__level_check(drl_ctx *ctx, const char *who, const drl_schedule *schedule, int level)
{
    if (schedule && (level < 0 || level >= schedule->levels))
        return drl__fail(ctx, DRL_E_ARGUMENT, "%s: level is %d; 0 to %d are possible",
                         who, level, schedule->levels - 1);
    return drl__at_least(ctx, who, "level", level, 0);
}

/* The numbers in double that a run goes on from. */
typedef struct drl__mcmc_state {
    double eps;                             /* step size */
    double log_eps_mean;                    /* weighted mean of log eps: what warm-up ends with */
    double accept_error;                    /* mean of (accept - acceptance), H in [Hoffman14] */
    double accept_sum;                      /* of last_accept over steps: see drl__mcmc_counted */
    double last_accept;                     /* mean acceptance of the chains in the last step */
} drl__mcmc_state;

struct drl_mcmc {
    drl_ctx *ctx;
    drl_energy energy;
    uint64_t seed;
    int count;                              /* chains */
    int first;                              /* number of the first chain: it selects the random numbers */
    int leapfrog;                           /* leapfrog steps per step; 1 for Langevin and MALA */
    int warmup;                             /* steps */
    int level;
    drl_mcmc_kernel kernel;
    double accept;                          /* the acceptance that warm-up aims at */
    double noise_scale;
    double first_eps;                       /* step size of the first step */
    size_t size;                            /* floats per point */
    /* The log density: */
    double beta, gaussian_weight;
    const float *centre;                    /* NULL if gaussian_weight is always 0 */
    size_t centre_stride;                   /* floats from one chain's centre to the next; 0: all share one */
    const double *inverse_variance;         /* [size]; NULL: all 1 */
    float *x_next;                          /* [count * size] the centres of the conditional, or NULL */
    /* The position of the run: */
    int step;                               /* steps done */
    uint64_t divergent;                     /* proposals since warm-up */
    drl__mcmc_state now;
    /* The points [count * size], their gradient of F [count * size], and F [count]: */
    float *y, *gradient, *f;
    float *y_new, *gradient_new, *f_new;    /* of the proposals */
    float *p;                               /* [count * size] momentum; for Langevin the noise */
    /* [count]: */
    double *log_joint;                      /* L(y) - |p|^2 / 2 where the trajectory began */
    double *log_u;                          /* logarithm of the uniform number that decides */
    double *chain_eps;                      /* step size of this step */
    double *alpha;                          /* probability of acceptance */
    int *levels, *labels;                   /* as the energy reads them; labels NULL: no classes */
    int *taken;                             /* 1: taken, 0: refused, -1: divergent */
};

/* A chain's starting point is drawn like the random numbers of this step, which no run reaches. */
#define DRL__START_STEP 0x7fffffff

/* A trajectory is divergent if L(y) - |p|^2 / 2 falls by more, in nats. */
#define DRL__ENERGY_ERROR_MAX 1000.0

/* The random numbers of one step of one chain. */
static drl_rng drl__mcmc_rng(uint64_t seed, int chain, int step)
{
    drl_rng rng;
    rng.seed = seed;
    rng.stream = (uint64_t)(uint32_t)chain << 32 | (uint32_t)step;
    rng.position = 0;
    return rng;
}

/* Chain i's centre, or NULL if its log density has no Gaussian term. */
static const float *drl__mcmc_centre(const drl_mcmc *m, int i)
{
    return m->gaussian_weight > 0 ? m->centre + (size_t)i * m->centre_stride : NULL;
}

/* L of chain i at y, where F is f. */
static double drl__mcmc_log_density(const drl_mcmc *m, int i, const float *y, float f)
{
    const float *centre = drl__mcmc_centre(m, i);
    double sum = 0;
    size_t j;
    if (!centre) return m->beta * (double)f;
    for (j = 0; j < m->size; ++j) {
        double d = (double)y[j] - (double)centre[j];
        sum += d * d * (m->inverse_variance ? m->inverse_variance[j] : 1.0);
    }
    return m->beta * (double)f - 0.5 * m->gaussian_weight * sum;
}

/* A leapfrog step moves the momentum and the point in turns:                                        [Neal11]
 *   kick     p <- p + h grad L(y),   h = eps, and eps / 2 for the first and the last kick
 *   drift    y <- y + eps p
 * where
 *   grad L(y) = beta grad F(y) - gaussian_weight inverse_variance (y - centre) */
static void drl__mcmc_kick(const drl_mcmc *m, int i, double h)
{
    size_t at = (size_t)i * m->size, j;
    const float *y = m->y_new + at, *gradient = m->gradient_new + at, *centre = drl__mcmc_centre(m, i);
    float *p = m->p + at;
    for (j = 0; j < m->size; ++j) {
        double slope = m->beta * (double)gradient[j];
        if (centre) {
            double inverse_variance = m->inverse_variance ? m->inverse_variance[j] : 1.0;
            slope -= m->gaussian_weight * inverse_variance * ((double)y[j] - (double)centre[j]);
        }
        p[j] = (float)((double)p[j] + h * slope);
    }
}

static void drl__mcmc_drift(const drl_mcmc *m, int i)
{
    float *y = m->y_new + (size_t)i * m->size;
    const float *p = m->p + (size_t)i * m->size;
    size_t j;
    for (j = 0; j < m->size; ++j) y[j] = (float)((double)y[j] + m->chain_eps[i] * (double)p[j]);
}

/* The whole step of a Langevin chain:
 *   y_new = y + eps^2 / 2 grad L(y) + eps noise_scale p,   p ~ N(0, I) */
static void drl__mcmc_langevin(drl_mcmc *m, int i)
{
    size_t at = (size_t)i * m->size;
    double half = 0.5 * m->now.eps * m->now.eps;
    drl__langevin_update(m->ctx, m->size, m->y_new + at, drl__mcmc_centre(m, i), m->gradient + at, m->p + at,
                         (float)half, (float)(half * m->gaussian_weight),
                         (float)(m->now.eps * m->noise_scale));
}

/* Draws what a step of chain i needs, and puts y_new where its trajectory begins. */
static void drl__mcmc_begin(drl_mcmc *m, int i)
{
    size_t at = (size_t)i * m->size;
    drl_rng rng = drl__mcmc_rng(m->seed, m->first + i, m->step);
    drl_rng_normals(m->ctx, &rng, m->p + at, m->size);
    memcpy(m->y_new + at, m->y + at, m->size * sizeof(float));
    if (m->kernel == DRL_MCMC_LANGEVIN) return;
    memcpy(m->gradient_new + at, m->gradient + at, m->size * sizeof(float));
    rng.position = drl__round_up(m->size, 4);       /* the normals come in groups of 4 */
    m->log_u[i] = drl__log(1.0 - (double)drl_rng_uniform(&rng));
    m->chain_eps[i] = m->now.eps;
    if (m->kernel == DRL_MCMC_HMC) m->chain_eps[i] *= 0.8 + 0.4 * (double)drl_rng_uniform(&rng);
    m->log_joint[i] = drl__mcmc_log_density(m, i, m->y + at, m->f[i])
                      - 0.5 * drl__sum_squares(m->ctx, m->size, m->p + at);
}

/* Decides whether chain i takes its proposal. The rule of Metropolis for the point and its momentum:
 *   alpha = min(1, exp(gain)),   gain = L(y_new) - |p_new|^2 / 2 - (L(y) - |p|^2 / 2)               [Neal11]
 *   taken if u <= exp(gain),     u uniform in (0, 1]
 * Langevin has no such rule: its proposal is taken if it is finite. */
static void drl__mcmc_end(drl_mcmc *m, int i)
{
    size_t at = (size_t)i * m->size;
    int finite = drl__all_finite(m->ctx, m->size, m->y_new + at) && drl__finite(m->f_new[i]);
    double gain;
    m->alpha[i] = 1;
    m->taken[i] = finite;
    if (m->kernel == DRL_MCMC_LANGEVIN) return;
    gain = drl__mcmc_log_density(m, i, m->y_new + at, m->f_new[i])
           - 0.5 * drl__sum_squares(m->ctx, m->size, m->p + at)
           - m->log_joint[i];
    if (!finite || !drl__finite(gain) || gain < -DRL__ENERGY_ERROR_MAX) {
        m->taken[i] = -1;
        m->alpha[i] = 0;
        return;
    }
    m->taken[i] = m->log_u[i] <= gain;
    if (gain < 0) m->alpha[i] = drl__exp(gain);
}

/* A job moves some chains of a batch on between two evaluations of the energy. */
typedef struct drl__mcmc_args {
    drl_mcmc *m;
    int base, n;                            /* first chain of the batch, and their number */
    int jobs;
    int begin, end;                         /* whether these are the first or the last moves of the step */
} drl__mcmc_args;

static void drl__mcmc_job(void *arg, int job)
{
    drl__mcmc_args *a = (drl__mcmc_args *)arg;
    drl_mcmc *m = a->m;
    int from = a->base + (int)((int64_t)a->n * job / a->jobs);
    int to = a->base + (int)((int64_t)a->n * (job + 1) / a->jobs);
    int i;
    for (i = from; i < to; ++i) {
        if (a->begin) drl__mcmc_begin(m, i);
        if (m->kernel == DRL_MCMC_LANGEVIN) {
            if (a->begin) drl__mcmc_langevin(m, i);
        } else {
            drl__mcmc_kick(m, i, a->begin || a->end ? 0.5 * m->chain_eps[i] : m->chain_eps[i]);
            if (!a->end) drl__mcmc_drift(m, i);
        }
        if (a->end) drl__mcmc_end(m, i);
    }
}

/* F and its gradient at y_new, of n chains from number base on. An energy of the caller's may fail without a
 * sentence: then the one here remains. */
static drl_status drl__mcmc_eval(drl_mcmc *m, int base, int n)
{
    size_t at = (size_t)base * m->size;
    drl_status status = m->energy.eval(m->energy.user, n, m->y_new + at, m->levels + base,
                                       m->labels ? m->labels + base : NULL, m->f_new + base,
                                       m->gradient_new + at);
    if (status != DRL_OK)
        drl__fail(m->ctx, status, "chains: the energy failed at level %d, chains %d to %d, step %d",
                  m->level, base, base + n - 1, m->step);
    return status;
}

/* Chain i moves to y_new. */
static void drl__mcmc_move(drl_mcmc *m, int i)
{
    size_t at = (size_t)i * m->size;
    memcpy(m->y + at, m->y_new + at, m->size * sizeof(float));
    memcpy(m->gradient + at, m->gradient_new + at, m->size * sizeof(float));
    m->f[i] = m->f_new[i];
}

/* Computes the proposals of all chains, batch by batch, and which of them are taken. */
static drl_status drl__mcmc_propose(drl_mcmc *m)
{
    drl__mcmc_args a;
    int base, l;
    memset(&a, 0, sizeof a);
    a.m = m;
    for (base = 0; base < m->count; base += a.n) {
        a.base = base;
        a.n = drl__min(m->count - base, m->energy.batch);
        a.jobs = drl__min(a.n, m->ctx->threads);
        for (l = 0; l <= m->leapfrog; ++l) {
            drl_status status = l ? drl__mcmc_eval(m, base, a.n) : DRL_OK;
            if (status != DRL_OK) return status;
            a.begin = l == 0;
            a.end = l == m->leapfrog;
            drl__parallel(m->ctx, a.jobs, drl__mcmc_job, &a);
        }
    }
    return DRL_OK;
}

/* One step of all chains, or none of it. */
static drl_status drl__mcmc_step(drl_mcmc *m)
{
    drl_status status = drl__mcmc_propose(m);
    double sum = 0;
    int i;
    if (status != DRL_OK) return status;
    for (i = 0; i < m->count && m->kernel == DRL_MCMC_LANGEVIN; ++i)
        if (!m->taken[i])
            return drl__fail(m->ctx, DRL_E_NUMERIC,
                             "chains: chain %d leaves the finite numbers at level %d, step %d, with step "
                             "size %g", i, m->level, m->step, m->now.eps);
    for (i = 0; i < m->count; ++i) {
        if (m->taken[i] > 0) drl__mcmc_move(m, i);
        if (m->taken[i] < 0) ++m->divergent;
        sum += m->alpha[i];
    }
    m->now.last_accept = sum / m->count;
    m->now.accept_sum += m->now.last_accept;
    ++m->step;
    return DRL_OK;
}

/* Dual averaging, after step k of the warm-up:                                                [Hoffman14] (6)
 *   H <- (1 - 1 / (k + t0)) H + (accept - acceptance of this step) / (k + t0)
 *   log eps = mu - sqrt(k) / gamma H,   mu = log(10 first_eps)
 *   log_eps_mean <- k^-kappa log eps + (1 - k^-kappa) log_eps_mean
 * The steps of the warm-up use eps, later ones exp(log_eps_mean). We keep log eps within 40 of mu. */
static void drl__mcmc_adapt(drl_mcmc *m)
{
    const double gamma = 0.05, t0 = 10, kappa = 0.75;
    double k = m->step, mu = drl__log(10 * m->first_eps), weight = drl__exp(-kappa * drl__log(k)), log_eps;
    m->now.accept_error += (m->accept - m->now.last_accept - m->now.accept_error) / (k + t0);
    log_eps = mu - sqrt(k) / gamma * m->now.accept_error;
    if (log_eps < mu - 40) log_eps = mu - 40;
    if (log_eps > mu + 40) log_eps = mu + 40;
    m->now.log_eps_mean += weight * (log_eps - m->now.log_eps_mean);
    if (m->step < m->warmup) {
        m->now.eps = drl__exp(log_eps);
        return;
    }
    m->now.eps = drl__exp(m->now.log_eps_mean);
    m->now.accept_sum = 0;
    m->divergent = 0;
}

/* Steps that accept_sum counts at a step: those of the warm-up as long as it lasts, then those after it. */
static int drl__mcmc_counted(const drl_mcmc *m, int step)
{
    return step < m->warmup ? step : step - m->warmup;
}

/* Moves every chain to its y_new, and computes F and its gradient there. If a point or an F is not finite,
 * all chains stay where they are. */
static drl_status drl__mcmc_move_all(drl_mcmc *m)
{
    int base, i, n;
    for (base = 0; base < m->count; base += n) {
        drl_status status;
        n = drl__min(m->count - base, m->energy.batch);
        status = drl__mcmc_eval(m, base, n);
        if (status != DRL_OK) return status;
    }
    for (i = 0; i < m->count; ++i) {
        if (!drl__all_finite(m->ctx, m->size, m->y_new + (size_t)i * m->size))
            return drl__fail(m->ctx, DRL_E_NUMERIC, "chains: the point where chain %d starts is not finite",
                             i);
        if (!drl__finite(m->f_new[i]))
            return drl__fail(m->ctx, DRL_E_NUMERIC,
                             "chains: F is %g where chain %d starts; it has to be finite",
                             (double)m->f_new[i], i);
    }
    for (i = 0; i < m->count; ++i) drl__mcmc_move(m, i);
    return DRL_OK;
}

static const drl__field drl__mcmc_fields[] = {
    { "count",         DRL__INT,    offsetof(drl_mcmc_desc, count), 1, 1, INT32_MAX, 0 },
    { "first",         DRL__INT,    offsetof(drl_mcmc_desc, first), 0, 0, INT32_MAX, 0 },
    { "kernel",        DRL__ENUM,   offsetof(drl_mcmc_desc, kernel), 0, DRL_MCMC_LANGEVIN, DRL_MCMC_HMC, 0 },
    { "step",          DRL__DOUBLE, offsetof(drl_mcmc_desc, step), 0, 1e-30, 1e30, DRL__OPEN },
    { "noise_scale",   DRL__DOUBLE, offsetof(drl_mcmc_desc, noise_scale), 1, 0, 1e30, DRL__OPEN },
    { "leapfrog",      DRL__INT,    offsetof(drl_mcmc_desc, leapfrog), 10, 1, INT32_MAX, 0 },
    { "warmup",        DRL__INT,    offsetof(drl_mcmc_desc, warmup), 0, 0, INT32_MAX, 0 },
    { "accept",        DRL__DOUBLE, offsetof(drl_mcmc_desc, accept), 0, 0, 1, DRL__OPEN }
};

/* x_next needs noise between its level and the level of the chains. */
static drl_status drl__mcmc_check_x_next(drl_ctx *ctx, const char *who, const drl_mcmc_desc *d)
{
    const drl_schedule *schedule = d->schedule;
    if (!schedule)
        return drl__fail(ctx, DRL_E_ARGUMENT, "%s: x_next needs a schedule", who);
    if (d->level + 1 == schedule->levels)
        return drl__fail(ctx, DRL_E_ARGUMENT, "%s: level is %d; with x_next, levels below %d are possible",
                         who, d->level, schedule->levels - 1);
    if (!(schedule->s[d->level + 1] > 0))
        return drl__fail(ctx, DRL_E_ARGUMENT,
                         "%s: the schedule's s[%d] is %g; with x_next it has to be above 0",
                         who, d->level + 1, schedule->s[d->level + 1]);
    return drl__floats_check(ctx, who, "x_next", d->x_next);
}

/* *d <- the description with its defaults, if it is possible. */
static drl_status drl__mcmc_resolve(drl_ctx *ctx, const char *who, const drl_energy *energy,
                                    const drl_mcmc_desc *desc, drl_mcmc_desc *d)
{
    *d = *desc;
    if (drl__zeroed(ctx, "drl_mcmc_desc", d->canary) != DRL_OK) return DRL_E_ARGUMENT;
    drl__defaults(drl__mcmc_fields, DRL__COUNT(drl__mcmc_fields), d);
    if (d->accept == 0) d->accept = d->kernel == DRL_MCMC_MALA ? 0.574 : 0.8;
    if (drl__energy_check(ctx, who, energy) != DRL_OK) return DRL_E_ARGUMENT;
    if (d->schedule && drl__schedule_check(ctx, who, d->schedule) != DRL_OK) return DRL_E_ARGUMENT;
    if (drl__level_check(ctx, who, d->schedule, d->level) != DRL_OK) return DRL_E_ARGUMENT;
    if (d->x_next && drl__mcmc_check_x_next(ctx, who, d) != DRL_OK) return DRL_E_ARGUMENT;
    if (d->start && drl__floats_check(ctx, who, "start", d->start) != DRL_OK) return DRL_E_ARGUMENT;
    if (d->step == 0 && d->schedule) d->step = drl_schedule_step(d->schedule, d->level);
    if (drl__check(ctx, DRL_E_ARGUMENT, who, drl__mcmc_fields, DRL__COUNT(drl__mcmc_fields), d) != DRL_OK)
        return DRL_E_ARGUMENT;
    if (d->first > INT32_MAX - d->count)
        return drl__fail(ctx, DRL_E_ARGUMENT, "%s: first is %d; with %d chains, 0 to %d are possible",
                         who, d->first, d->count, INT32_MAX - d->count);
    if (d->warmup && d->kernel == DRL_MCMC_LANGEVIN)
        return drl__fail(ctx, DRL_E_ARGUMENT,
                         "%s: warmup is %d; for Langevin, which takes every proposal, 0 is possible",
                         who, d->warmup);
    return DRL_OK;
}

/* Sets the addresses of m's arrays in the block, and returns its bytes; block NULL: the bytes alone. */
static size_t drl__mcmc_place(drl_mcmc *m, const drl_mcmc_desc *d, size_t size, unsigned char *block)
{
    size_t total = 0, n = (size_t)d->count, floats;
    if (!drl__mul_fits(n, size, &floats)) return SIZE_MAX;
    drl__place_array(block, &total, 1, sizeof *m);
    m->y = drl__place_floats(block, &total, floats);
    m->gradient = drl__place_floats(block, &total, floats);
    m->y_new = drl__place_floats(block, &total, floats);
    m->gradient_new = drl__place_floats(block, &total, floats);
    m->p = drl__place_floats(block, &total, floats);
    m->f = drl__place_floats(block, &total, n);
    m->f_new = drl__place_floats(block, &total, n);
    m->log_joint = (double *)drl__place_array(block, &total, n, sizeof(double));
    m->log_u = (double *)drl__place_array(block, &total, n, sizeof(double));
    m->chain_eps = (double *)drl__place_array(block, &total, n, sizeof(double));
    m->alpha = (double *)drl__place_array(block, &total, n, sizeof(double));
    m->levels = (int *)drl__place_array(block, &total, n, sizeof(int));
    m->taken = (int *)drl__place_array(block, &total, n, sizeof(int));
    m->labels = d->labels ? (int *)drl__place_array(block, &total, n, sizeof(int)) : NULL;
    m->x_next = d->x_next ? drl__place_floats(block, &total, floats) : NULL;
    return total;
}

/* Adds the Gaussian term of the conditional, -|y - x_next|^2 / (2 s^2), to the log density. */
static drl_status drl__mcmc_condition(drl_mcmc *m, const char *who, const drl_mcmc_desc *d)
{
    double s = d->schedule->s[d->level + 1];
    int i;
    for (i = 0; i < m->count; ++i)
        if (!drl__all_finite(m->ctx, m->size, d->x_next + (size_t)i * m->size))
            return drl__fail(m->ctx, DRL_E_NUMERIC, "%s: x_next of chain %d is not finite", who, i);
    memcpy(m->x_next, d->x_next, (size_t)m->count * m->size * sizeof(float));
    m->centre = m->x_next;
    m->centre_stride = m->size;
    m->gaussian_weight = 1 / (s * s);
    return DRL_OK;
}

/* Makes chains of a resolved description. Their starting points are at y_new, where drl__mcmc_move_all finds
 * them. */
static drl_status drl__mcmc_new(drl_ctx *ctx, const char *who, const drl_energy *energy,
                                const drl_mcmc_desc *d, drl_mcmc **out)
{
    drl_mcmc sizes, *m;
    size_t n = (size_t)d->count;
    int i;
    unsigned char *block = (unsigned char *)drl__alloc(ctx, drl__mcmc_place(&sizes, d, energy->size, NULL));
    if (!block) return DRL_E_MEMORY;
    m = (drl_mcmc *)(void *)block;
    memset(m, 0, sizeof *m);
    m->ctx = ctx;
    m->energy = *energy;
    m->size = energy->size;
    m->seed = d->seed;
    m->count = d->count;
    m->first = d->first;
    m->warmup = d->warmup;
    m->level = d->level;
    m->kernel = d->kernel;
    m->leapfrog = d->kernel == DRL_MCMC_HMC ? d->leapfrog : 1;
    m->accept = d->accept;
    m->noise_scale = d->noise_scale;
    m->first_eps = m->now.eps = d->step;
    m->now.log_eps_mean = drl__log(d->step);
    m->beta = 1;
    drl__mcmc_place(m, d, m->size, block);
    if (d->x_next) {
        drl_status status = drl__mcmc_condition(m, who, d);
        if (status != DRL_OK) { drl__free(ctx, m); return status; }
    }
    for (i = 0; i < m->count; ++i) m->levels[i] = d->level;
    if (d->labels) memcpy(m->labels, d->labels, n * sizeof(int));
    if (d->start) memcpy(m->y_new, d->start, n * m->size * sizeof(float));
    for (i = 0; i < m->count && !d->start; ++i) {
        drl_rng rng = drl__mcmc_rng(m->seed, m->first + i, DRL__START_STEP);
        drl_rng_normals(ctx, &rng, m->y_new + (size_t)i * m->size, m->size);
    }
    *out = m;
    return DRL_OK;
}

DRL__CALL(drl_status, drl_mcmc_create,
    (drl_ctx *ctx, const drl_energy *energy, const drl_mcmc_desc *desc, drl_mcmc **out),
    (ctx, energy, desc, out))
{
    drl_mcmc_desc d;
    drl_mcmc *m = NULL;
    drl_status status;
    if (!ctx || !energy || !desc || !out)
        return drl__fail(ctx, DRL_E_ARGUMENT, "drl_mcmc_create: a context, an energy, a description and a "
                         "place for the result are needed");
    status = drl__mcmc_resolve(ctx, "drl_mcmc_create", energy, desc, &d);
    if (status == DRL_OK) status = drl__mcmc_new(ctx, "drl_mcmc_create", energy, &d, &m);
    if (status == DRL_OK) status = drl__mcmc_move_all(m);
    if (status == DRL_OK) *out = m;
    else drl_mcmc_destroy(m);
    return status;
}

DRL__CALL(drl_status, drl_mcmc_run, (drl_mcmc *m, int steps), (m, steps))
{
    if (!m) return drl__fail(NULL, DRL_E_ARGUMENT, "drl_mcmc_run: no chains");
    if (drl__at_least(m->ctx, "drl_mcmc_run", "steps", steps, 0) != DRL_OK) return DRL_E_ARGUMENT;
    if (steps >= DRL__START_STEP - m->step)
        return drl__fail(m->ctx, DRL_E_ARGUMENT,
                         "drl_mcmc_run: steps is %d; after %d steps, 0 to %d are possible",
                         steps, m->step, DRL__START_STEP - m->step - 1);
    for (; steps > 0; --steps) {
        drl_status status = drl__mcmc_step(m);
        if (status != DRL_OK) return status;
        if (m->step <= m->warmup) drl__mcmc_adapt(m);
    }
    return DRL_OK;
}

DRL__CALL(drl_status, drl_mcmc_look, (const drl_mcmc *m, drl_mcmc_report *report), (m, report))
{
    int i, steps;
    if (!m || !report)
        return drl__fail(m ? m->ctx : NULL, DRL_E_ARGUMENT,
                         "drl_mcmc_look: chains and a place for the report are needed");
    steps = drl__mcmc_counted(m, m->step);
    report->step = m->step;
    report->step_size = m->now.eps;
    report->accept = steps ? m->now.accept_sum / steps : m->now.last_accept;
    report->divergent = m->divergent;
    report->f = 0;
    for (i = 0; i < m->count; ++i) report->f += (double)m->f[i] / m->count;
    report->point = m->y;
    report->value = m->f;
    return DRL_OK;
}

DRL_API void drl_mcmc_destroy(drl_mcmc *m) { if (m) drl__free(m->ctx, m); }

#define DRL__MCMC_POSITION 7                /* the last fields: where the run is; the others are fixed */
static const drl__field drl__mcmc_state_fields[] = {
    { "count",           DRL__INT,    offsetof(drl_mcmc, count), 0, 0, 0, DRL__ANY },
    { "seed",            DRL__U64,    offsetof(drl_mcmc, seed), 0, 0, 0, DRL__ANY },
    { "first",           DRL__INT,    offsetof(drl_mcmc, first), 0, 0, 0, DRL__ANY },
    { "kernel",          DRL__ENUM,   offsetof(drl_mcmc, kernel), 0, 0, 0, DRL__ANY },
    { "level",           DRL__INT,    offsetof(drl_mcmc, level), 0, 0, 0, DRL__ANY },
    { "step",            DRL__DOUBLE, offsetof(drl_mcmc, first_eps), 0, 0, 0, DRL__ANY },
    { "noise_scale",     DRL__DOUBLE, offsetof(drl_mcmc, noise_scale), 0, 0, 0, DRL__ANY },
    { "leapfrog",        DRL__INT,    offsetof(drl_mcmc, leapfrog), 0, 0, 0, DRL__ANY },
    { "warmup",          DRL__INT,    offsetof(drl_mcmc, warmup), 0, 0, 0, DRL__ANY },
    { "accept",          DRL__DOUBLE, offsetof(drl_mcmc, accept), 0, 0, 0, DRL__ANY },
    { "gaussian_weight", DRL__DOUBLE, offsetof(drl_mcmc, gaussian_weight), 0, 0, 0, DRL__ANY },
    { "steps_done",      DRL__INT,    offsetof(drl_mcmc, step), 0, 0, DRL__START_STEP, DRL__NO_HIGH },
    { "divergent",       DRL__U64,    offsetof(drl_mcmc, divergent), 0, 0, 0, DRL__ANY },
    { "eps",             DRL__DOUBLE, offsetof(drl_mcmc, now.eps), 0, 0, 1e60, DRL__OPEN },
    { "log_eps_mean",    DRL__DOUBLE, offsetof(drl_mcmc, now.log_eps_mean), 0, -1000, 1000, DRL__OPEN },
    { "accept_error",    DRL__DOUBLE, offsetof(drl_mcmc, now.accept_error), 0, -1, 1, 0 },
    { "accept_sum",      DRL__DOUBLE, offsetof(drl_mcmc, now.accept_sum), 0, 0, DRL__START_STEP, 0 },
    { "last_accept",     DRL__DOUBLE, offsetof(drl_mcmc, now.last_accept), 0, 0, 1, 0 }
};

static drl__saved drl__mcmc_saved(const drl_mcmc *m)
{
    size_t n = (size_t)m->count;
    drl__saved saved;
    memset(&saved, 0, sizeof saved);
    saved.key = "drl.mcmc";
    saved.field = drl__mcmc_state_fields;
    saved.fields = DRL__COUNT(drl__mcmc_state_fields);
    saved.fixed_fields = saved.fields - DRL__MCMC_POSITION;
    drl__saved_add(&saved, "labels", DRL_DTYPE_I32, n, 0, m->labels);
    drl__saved_add(&saved, "x_next", DRL_DTYPE_F32, n, m->size, m->x_next);
    saved.fixed_tensors = saved.tensors;
    drl__saved_add(&saved, "y", DRL_DTYPE_F32, n, m->size, m->y);
    return saved;
}

DRL__CALL(drl_status, drl_mcmc_save,
    (const drl_mcmc *m, void *dst, size_t capacity, size_t *written),
    (m, dst, capacity, written))
{
    drl__saved saved;
    if (!m) return drl__fail(NULL, DRL_E_ARGUMENT, "drl_mcmc_save: no chains");
    saved = drl__mcmc_saved(m);
    return drl__saved_write(m->ctx, "drl_mcmc_save", &saved, m, dst, capacity, written);
}

/* Whether chains like m can have come to what a state says. */
static drl_status drl__mcmc_check_position(const drl_mcmc *m, const drl_mcmc *read)
{
    int counted = drl__mcmc_counted(m, read->step);
    const drl__field *last = drl__mcmc_state_fields + DRL__COUNT(drl__mcmc_state_fields);
    drl_status status = drl__check(m->ctx, DRL_E_FORMAT, "drl_mcmc_restore",
                                   last - DRL__MCMC_POSITION, DRL__MCMC_POSITION, read);
    if (status != DRL_OK || read->now.accept_sum <= counted) return status;
    return drl__fail(m->ctx, DRL_E_FORMAT,
                     "drl_mcmc_restore: accept_sum is %g; 0 to %d, the steps, are possible",
                     read->now.accept_sum, counted);
}

DRL__CALL(drl_status, drl_mcmc_restore, (drl_mcmc *m, const void *bytes, size_t size), (m, bytes, size))
{
    static const char who[] = "drl_mcmc_restore";
    drl_safetensors *st = NULL;
    drl_mcmc read;
    drl__saved saved;
    drl_status status;
    if (!m || !bytes)
        return drl__fail(m ? m->ctx : NULL, DRL_E_ARGUMENT,
                         "%s: chains and the bytes of a state are needed", who);
    saved = drl__mcmc_saved(m);
    status = drl__saved_open(m->ctx, who, &saved, m, bytes, size, &read, &st);
    if (status == DRL_OK) status = drl__mcmc_check_position(m, &read);
    if (status == DRL_OK) {
        drl__st_copy(drl_safetensors_find(st, "y"), m->y_new);
        status = drl__mcmc_move_all(m);
    }
    if (status == DRL_OK) {
        m->step = read.step;
        m->divergent = read.divergent;
        m->now = read.now;
    }
    drl_safetensors_close(st);
    return status;
}

/* Diagnosis of a trace. Every chain is cut into two halves of n draws, so that a drift is seen as well: half
 * h < chains is the first half of chain h, half h >= chains the last half of chain h - chains. With
 * m = 2 * chains:
 *   W       = mean over the halves of the variance within each
 *   B / n   = variance of the means of the halves
 *   var+    = (n - 1) / n W + B / n
 *   R-hat   = sqrt(var+ / W)
 *   rho_k   = 1 - (W - mean over the halves of the autocovariance at lag k) / var+
 *   tau     = -1 + 2 sum over k of (rho_2k + rho_2k+1)         the autocorrelation time
 *   ESS     = m n / tau                                        the effective sample size       [Vehtari21] */
typedef struct drl__trace { const double *x; int draws, chains, n; } drl__trace;

/* Draw i of half h. */
static double drl__trace_at(const drl__trace *t, int h, int i)
{
    int row = h < t->chains ? i : t->draws - t->n + i;
    return t->x[(size_t)row * (size_t)t->chains + (size_t)(h % t->chains)];
}

static double drl__trace_mean(const drl__trace *t, int h)
{
    double sum = 0;
    int i;
    for (i = 0; i < t->n; ++i) sum += drl__trace_at(t, h, i);
    return sum / t->n;
}

/* The autocovariance, with divisor n, at a lag: the mean over all halves. */
static double drl__trace_autocovariance(const drl__trace *t, int lag)
{
    double sum = 0;
    int h, i;
    for (h = 0; h < 2 * t->chains; ++h) {
        double mean = drl__trace_mean(t, h), products = 0;
        for (i = 0; i + lag < t->n; ++i)
            products += (drl__trace_at(t, h, i) - mean) * (drl__trace_at(t, h, i + lag) - mean);
        sum += products / t->n;
    }
    return sum / (2 * t->chains);
}

/* B / n. */
static double drl__trace_between(const drl__trace *t)
{
    int h, halves = 2 * t->chains;
    double mean = 0, sum = 0;
    for (h = 0; h < halves; ++h) mean += drl__trace_mean(t, h) / halves;
    for (h = 0; h < halves; ++h) {
        double d = drl__trace_mean(t, h) - mean;
        sum += d * d / (halves - 1);
    }
    return sum;
}

/* tau. For a reversible chain the sums of neighbouring pairs, rho_2k + rho_2k+1, are positive and fall with
 * k. Where their estimates do not, they are noise: the sum over k ends before the first pair that is not
 * positive, and no pair counts more than the one before it.                                      [Geyer92] */
static double drl__trace_tau(const drl__trace *t, double within, double total)
{
    double tau = 0, least = HUGE_VAL;
    int k;
    for (k = 0; k + 1 < t->n; k += 2) {
        double even = k ? 1 - (within - drl__trace_autocovariance(t, k)) / total : 1.0;
        double odd = 1 - (within - drl__trace_autocovariance(t, k + 1)) / total;
        if (!(even + odd > 0)) break;
        if (even + odd < least) least = even + odd;
        tau += 2 * least;
    }
    return tau - 1;
}

/* mean, sd <- of all numbers of the trace. */
static drl_status drl__trace_moments(drl_ctx *ctx, const double *x, size_t numbers, double *mean, double *sd)
{
    double sum = 0, squares = 0, low = x[0], high = x[0];
    size_t i;
    for (i = 0; i < numbers; ++i) {
        if (!(x[i] > -1e150 && x[i] < 1e150))
            return drl__fail(ctx, DRL_E_NUMERIC, "drl_mcmc_diagnose: number %z of the trace is %g; it has to "
                             "be above -1e150 and below 1e150", i, x[i]);
        if (x[i] < low) low = x[i];
        if (x[i] > high) high = x[i];
        sum += x[i] / (double)numbers;
    }
    if (low == high)
        return drl__fail(ctx, DRL_E_NUMERIC, "drl_mcmc_diagnose: all %z numbers are %g; they have to vary",
                         numbers, low);
    for (i = 0; i < numbers; ++i) squares += (x[i] - sum) * (x[i] - sum);
    *mean = sum;
    *sd = sqrt(squares / ((double)numbers - 1));
    return DRL_OK;
}

DRL__CALL(drl_status, drl_mcmc_diagnose,
    (drl_ctx *ctx, const double *x, int draws, int chains, drl_diagnosis *diagnosis),
    (ctx, x, draws, chains, diagnosis))
{
    drl__trace t;
    double n, all, log_all, within, total, tau, mean = 0, sd = 0;
    drl_status status;
    if (!x || !diagnosis)
        return drl__fail(ctx, DRL_E_ARGUMENT,
                         "drl_mcmc_diagnose: a trace and a place for the result are needed");
    if ((uintptr_t)x % offsetof(drl__double_place, value))
        return drl__fail(ctx, DRL_E_ARGUMENT, "drl_mcmc_diagnose: x is not aligned as doubles are");
    if (drl__at_least(ctx, "drl_mcmc_diagnose", "draws", draws, 8) != DRL_OK) return DRL_E_ARGUMENT;
    if (drl__at_least(ctx, "drl_mcmc_diagnose", "chains", chains, 1) != DRL_OK) return DRL_E_ARGUMENT;
    if (chains > INT32_MAX / 2)
        return drl__fail(ctx, DRL_E_ARGUMENT, "drl_mcmc_diagnose: chains is %d; 1 to %d are possible",
                         chains, INT32_MAX / 2);
    status = drl__trace_moments(ctx, x, (size_t)draws * (size_t)chains, &mean, &sd);
    if (status != DRL_OK) return status;
    t.x = x;
    t.draws = draws;
    t.chains = chains;
    t.n = draws / 2;
    n = t.n;
    within = drl__trace_autocovariance(&t, 0) * n / (n - 1);
    total = within * (n - 1) / n + drl__trace_between(&t);
    tau = drl__trace_tau(&t, within, total);
    all = 2 * chains * n;
    log_all = drl__log(all);
    diagnosis->mean = mean;
    diagnosis->sd = sd;
    /* tau may be near 0, or negative, by noise: ESS <= m n log10(m n) */
    diagnosis->ess = tau > drl__log(10.0) / log_all ? all / tau : all * log_all / drl__log(10.0);
    diagnosis->error = sd / sqrt(diagnosis->ess);
    diagnosis->rhat = within > 0 ? sqrt(total / within) : HUGE_VAL;
    return DRL_OK;
}

/* Annealed importance sampling: the chains stay, and their log density L_k changes under them, from that of
 * the Gaussian N at k = 0 to F at k = K = steps:                                                     [Neal01]
 *   L_k(y) = (1 - beta_k) log N(y) + beta_k F(y)
 * When the chains go on from L_k to L_{k+1}, the weight of each changes:
 *   log w <- log w + (beta_{k+1} - beta_k) (F(y) - log N(y))
 * Then `moves` HMC steps on L_{k+1} follow; there are none on L_K. A pilot comes first: it is the same path
 * with fewer chains, another seed, and no weights, and finds a step size for every temperature. In reverse
 * the path goes from beta_K to beta_0; the pilot goes forward even then. */
struct drl_ais {
    drl_ctx *ctx;
    drl_mcmc *chains;
    uint64_t seed;
    int count;                              /* chains of the path */
    int pilot_count;                        /* chains of the pilot */
    int steps, moves, reverse;
    int on_path;                            /* 0 as long as the pilot runs */
    int k;                                  /* present temperature, counted along the path */
    int move;                               /* moves made at it; -1: the step from k to k + 1 comes next */
    double accept;                          /* the acceptance that the pilot aims at */
    double log_norm;                        /* log N at its mean */
    double accept_sum, moves_made;          /* on the path: the mean acceptances, and how many they are */
    double *beta;                           /* [steps + 1] */
    double *eps;                            /* [steps + 1] step sizes; NULL: one for all, without a pilot */
    double *inverse_variance;               /* [size] of N */
    double *log_w;                          /* [count] log weights */
    float *mean;                            /* [size] of N */
    float *start;                           /* [count * size] where reverse chains start, or NULL */
};

#define DRL__AIS_PILOT_SEED  UINT64_C(0x9E3779B97F4A7C15)       /* added to the seed */
#define DRL__AIS_PILOT_MOVES 50             /* more at its first temperature, to find the scale of eps */

/* Where temperature k of the path stands in the arrays. */
static int drl__ais_index(const drl_ais *a, int k) { return a->on_path && a->reverse ? a->steps - k : k; }

/* beta_{k+1} - beta_k, negative in reverse. */
static double drl__ais_beta_step(const drl_ais *a, int k)
{
    return a->beta[drl__ais_index(a, k + 1)] - a->beta[drl__ais_index(a, k)];
}

/* The chains' log density <- L_k. */
static void drl__ais_set_temperature(drl_ais *a, int k)
{
    int index = drl__ais_index(a, k);
    a->k = k;
    a->chains->beta = a->beta[index];
    a->chains->gaussian_weight = 1 - a->beta[index];
    if (a->on_path && a->eps) a->chains->now.eps = a->eps[index];
}

/* y_new <- where the chains of the pilot or of the path start. */
static void drl__ais_draw_starts(drl_ais *a, int on_path)
{
    drl_mcmc *m = a->chains;
    size_t j;
    int i;
    if (on_path && a->reverse) {
        memcpy(m->y_new, a->start, (size_t)m->count * m->size * sizeof(float));
        return;
    }
    for (i = 0; i < m->count; ++i) {
        float *y = m->y_new + (size_t)i * m->size;
        drl_rng rng = drl__mcmc_rng(m->seed, i, DRL__START_STEP);
        drl_rng_normals(a->ctx, &rng, y, m->size);
        for (j = 0; j < m->size; ++j)
            y[j] = (float)((double)a->mean[j] + (double)y[j] / sqrt(a->inverse_variance[j]));
    }
}

/* Puts all chains at the beginning of the pilot (on_path 0) or of the path. */
static drl_status drl__ais_begin(drl_ais *a, int on_path)
{
    drl_mcmc *m = a->chains;
    drl_status status;
    m->count = on_path ? a->count : a->pilot_count;
    m->seed = on_path ? a->seed : a->seed + DRL__AIS_PILOT_SEED;
    drl__ais_draw_starts(a, on_path);
    status = drl__mcmc_move_all(m);
    if (status != DRL_OK) return status;
    m->step = 0;
    a->on_path = on_path;
    a->k = 0;
    a->move = -1;
    if (on_path) return DRL_OK;
    drl__ais_set_temperature(a, 1);         /* without weights nothing is to be done at temperature 0 */
    a->move = -DRL__AIS_PILOT_MOVES;
    m->now.eps = a->eps[1];
    return DRL_OK;
}

/* F - log N of chain i. */
static double drl__ais_log_ratio(const drl_ais *a, int i)
{
    const drl_mcmc *m = a->chains;
    const float *y = m->y + (size_t)i * m->size;
    double sum = 0;
    size_t j;
    for (j = 0; j < m->size; ++j) {
        double d = (double)y[j] - (double)a->mean[j];
        sum += d * d * a->inverse_variance[j];
    }
    return (double)m->f[i] - (a->log_norm - 0.5 * sum);
}

/* The path goes on from temperature k to k + 1. */
static void drl__ais_weigh(drl_ais *a)
{
    double step = drl__ais_beta_step(a, a->k);
    int i;
    for (i = 0; i < a->count; ++i) a->log_w[i] += step * drl__ais_log_ratio(a, i);
    drl__ais_set_temperature(a, a->k + 1);
    a->move = 0;
}

/* One temperature. After a failure the next call makes what is left of it. */
static drl_status drl__ais_step(drl_ais *a)
{
    drl_mcmc *m = a->chains;
    if (a->on_path && a->move < 0) drl__ais_weigh(a);
    for (; a->k < a->steps && a->move < a->moves; ++a->move) {
        drl_status status = drl__mcmc_step(m);
        if (status != DRL_OK) return status;
        if (a->on_path) {
            a->accept_sum += m->now.last_accept;
            ++a->moves_made;
        } else {
            /* eps goes towards the acceptance that is asked for, faster as long as its scale is unknown */
            double rate = a->move < 0 ? 0.5 : 0.2;
            m->now.eps *= drl__exp(rate * (m->now.last_accept - a->accept));
        }
    }
    if (a->on_path) {
        a->move = -1;
        return DRL_OK;
    }
    a->eps[a->k] = m->now.eps;
    if (a->k + 1 == a->steps) return drl__ais_begin(a, 1);
    drl__ais_set_temperature(a, a->k + 1);
    a->move = 0;
    return DRL_OK;
}

/* N gets the mean and the variance of n points, in each coordinate. Where they hardly vary, the deviation is
 * a thousandth of the largest one. */
static void drl__ais_fit(drl_ais *a, const float *x, int n, size_t size)
{
    double *variance = a->inverse_variance, largest = 0, low;
    size_t j;
    int i;
    for (j = 0; j < size; ++j) {
        double mean = 0;
        for (i = 0; i < n; ++i) mean += (double)x[(size_t)i * size + j] / n;
        for (variance[j] = 0, i = 0; i < n; ++i) {
            double d = (double)x[(size_t)i * size + j] - mean;
            variance[j] += d * d / (n - 1);
        }
        a->mean[j] = (float)mean;
        if (variance[j] > largest) largest = variance[j];
    }
    low = 1e-6 * largest;
    for (j = 0; j < size; ++j) a->inverse_variance[j] = 1 / (variance[j] > low ? variance[j] : low);
}

/* Sets N, or fails if a number of it is out of range. The description's variances may be 0, negative or NaN
 * until they are checked here. */
static drl_status drl__ais_set_gaussian(drl_ais *a, const drl_ais_desc *d, size_t size)
{
    drl_status bad = d->fit ? DRL_E_NUMERIC : DRL_E_ARGUMENT;
    size_t j;
    for (j = 0; j < size; ++j) {
        a->mean[j] = d->mean ? d->mean[j] : 0.0f;
        a->inverse_variance[j] = d->variance ? 1 / (double)d->variance[j] : 1.0;
    }
    if (d->fit) drl__ais_fit(a, d->fit, d->fit_count, size);
    for (j = 0; j < size; ++j) {
        double inverse = a->inverse_variance[j];
        if (!(a->mean[j] > -1e15f && a->mean[j] < 1e15f))
            return drl__fail(a->ctx, bad, "drl_ais_create: the Gaussian's mean %z is %g; it has to be above "
                             "-1e15 and below 1e15", j, (double)a->mean[j]);
        if (!(inverse > 1e-30 && inverse < 1e30))
            return drl__fail(a->ctx, bad, "drl_ais_create: the Gaussian's variance %z is %g; it has to be "
                             "above 1e-30 and below 1e30", j, 1 / inverse);
        a->log_norm -= 0.5 * drl__log(2 * DRL__PI / inverse);
    }
    return DRL_OK;
}

/* The description's beta_k or, with x_k = 4 (2 k / K - 1),
 *   beta_k = (sigmoid(x_k) - sigmoid(-4)) / (sigmoid(4) - sigmoid(-4)) */
static void drl__ais_set_betas(drl_ais *a, const double *beta)
{
    double low = 1 / (1 + drl__exp(4.0)), high = 1 / (1 + drl__exp(-4.0));
    int k;
    for (k = 0; k <= a->steps; ++k) {
        double x = 4 * (2.0 * k / a->steps - 1);
        a->beta[k] = beta ? beta[k] : (1 / (1 + drl__exp(-x)) - low) / (high - low);
    }
    a->beta[a->steps] = 1;
}

/* The pilot's first step size at all temperatures: the smallest standard deviation of N. */
static void drl__ais_set_eps(drl_ais *a, size_t size)
{
    double smallest = HUGE_VAL;
    size_t j;
    int k;
    for (j = 0; j < size; ++j)
        if (1 / sqrt(a->inverse_variance[j]) < smallest) smallest = 1 / sqrt(a->inverse_variance[j]);
    for (k = 0; k <= a->steps; ++k) a->eps[k] = smallest;
}

static const drl__field drl__ais_fields[] = {
    { "count",         DRL__INT,    offsetof(drl_ais_desc, count), 16, 1, INT32_MAX, 0 },
    { "steps",         DRL__INT,    offsetof(drl_ais_desc, steps), 1000, 2, INT32_MAX, 0 },
    { "moves",         DRL__INT,    offsetof(drl_ais_desc, moves), 1, 1, INT32_MAX, 0 },
    { "leapfrog",      DRL__INT,    offsetof(drl_ais_desc, leapfrog), 10, 1, INT32_MAX, 0 },
    { "pilot",         DRL__INT,    offsetof(drl_ais_desc, pilot), 0, 1, INT32_MAX, 0 },
    { "accept",        DRL__DOUBLE, offsetof(drl_ais_desc, accept), 0.8, 0, 1, DRL__OPEN },
    { "step",          DRL__DOUBLE, offsetof(drl_ais_desc, step), 0, 0, 1e30, DRL__NO_HIGH }
};

static drl_status drl__ais_check_betas(drl_ctx *ctx, const drl_ais_desc *d)
{
    int k;
    if (d->beta[0] != 0)
        return drl__fail(ctx, DRL_E_ARGUMENT, "drl_ais_create: beta[0] is %g; 0 is possible", d->beta[0]);
    if (d->beta[d->steps] != 1)
        return drl__fail(ctx, DRL_E_ARGUMENT, "drl_ais_create: beta[%d], the last one, is %g; 1 is possible",
                         d->steps, d->beta[d->steps]);
    for (k = 0; k < d->steps; ++k)
        if (!(d->beta[k] < d->beta[k + 1]))
            return drl__fail(ctx, DRL_E_ARGUMENT,
                             "drl_ais_create: beta[%d] is %g; it has to be above beta[%d], which is %g",
                             k + 1, d->beta[k + 1], k, d->beta[k]);
    return DRL_OK;
}

/* `d` has its defaults already. */
static drl_status drl__ais_check(drl_ctx *ctx, const drl_ais_desc *d)
{
    const char *who = "drl_ais_create";
    int moves_max = DRL__START_STEP - DRL__AIS_PILOT_MOVES - 1;
    if (drl__check(ctx, DRL_E_ARGUMENT, who, drl__ais_fields, DRL__COUNT(drl__ais_fields), d) != DRL_OK)
        return DRL_E_ARGUMENT;
    if (d->steps > moves_max / d->moves)
        return drl__fail(ctx, DRL_E_ARGUMENT,
                         "drl_ais_create: steps is %d; with %d moves at each, 2 to %d are possible", d->steps,
                         d->moves, moves_max / d->moves);
    if (d->pilot > d->count)
        return drl__fail(ctx, DRL_E_ARGUMENT, "drl_ais_create: pilot is %d; 1 to %d, the count, are possible",
                         d->pilot, d->count);
    if (d->fit && drl__at_least(ctx, who, "fit_count", d->fit_count, 2) != DRL_OK) return DRL_E_ARGUMENT;
    if (d->fit && (d->mean || d->variance))
        return drl__fail(ctx, DRL_E_ARGUMENT, "drl_ais_create: %s is given, and `fit`, which says it, too",
                         d->mean ? "mean" : "variance");
    if (d->mean && drl__floats_check(ctx, who, "mean", d->mean) != DRL_OK) return DRL_E_ARGUMENT;
    if (d->variance && drl__floats_check(ctx, who, "variance", d->variance) != DRL_OK) return DRL_E_ARGUMENT;
    if (d->fit && drl__floats_check(ctx, who, "fit", d->fit) != DRL_OK) return DRL_E_ARGUMENT;
    return d->beta ? drl__ais_check_betas(ctx, d) : DRL_OK;
}

/* Sets the addresses of a's arrays in the block, and returns its bytes; block NULL: the bytes alone. */
static size_t drl__ais_place(drl_ais *a, const drl_ais_desc *d, size_t size, unsigned char *block)
{
    size_t total = 0, steps = (size_t)d->steps + 1, floats;
    if (!drl__mul_fits((size_t)d->count, size, &floats)) return SIZE_MAX;
    drl__place_array(block, &total, 1, sizeof *a);
    a->beta = (double *)drl__place_array(block, &total, steps, sizeof(double));
    a->eps = d->step > 0 ? NULL : (double *)drl__place_array(block, &total, steps, sizeof(double));
    a->inverse_variance = (double *)drl__place_array(block, &total, size, sizeof(double));
    a->log_w = (double *)drl__place_array(block, &total, (size_t)d->count, sizeof(double));
    a->mean = drl__place_floats(block, &total, size);
    a->start = d->start ? drl__place_floats(block, &total, floats) : NULL;
    return total;
}

/* Makes a path of a resolved description, without its chains. */
static drl_status drl__ais_new(drl_ctx *ctx, const drl_ais_desc *d, size_t size, drl_ais **out)
{
    drl_ais sizes, *a;
    drl_status status;
    int i;
    unsigned char *block = (unsigned char *)drl__alloc(ctx, drl__ais_place(&sizes, d, size, NULL));
    if (!block) return DRL_E_MEMORY;
    a = (drl_ais *)(void *)block;
    memset(a, 0, sizeof *a);
    a->ctx = ctx;
    a->seed = d->seed;
    a->count = d->count;
    a->pilot_count = d->pilot;
    a->steps = d->steps;
    a->moves = d->moves;
    a->reverse = d->start != NULL;
    a->accept = d->accept;
    drl__ais_place(a, d, size, block);
    status = drl__ais_set_gaussian(a, d, size);
    if (status != DRL_OK) {
        drl__free(ctx, a);
        return status;
    }
    drl__ais_set_betas(a, d->beta);
    if (a->eps) drl__ais_set_eps(a, size);
    for (i = 0; i < a->count; ++i) a->log_w[i] = 0;
    if (d->start) memcpy(a->start, d->start, (size_t)d->count * size * sizeof(float));
    *out = a;
    return DRL_OK;
}

DRL__CALL(drl_status, drl_ais_create,
    (drl_ctx *ctx, const drl_energy *energy, const drl_ais_desc *desc, drl_ais **out),
    (ctx, energy, desc, out))
{
    drl_ais *a = NULL;
    drl_ais_desc d;
    drl_mcmc_desc chains;
    drl_status status;
    if (!ctx || !energy || !desc || !out)
        return drl__fail(ctx, DRL_E_ARGUMENT, "drl_ais_create: a context, an energy, a description and a "
                         "place for the result are needed");
    d = *desc;
    if (drl__zeroed(ctx, "drl_ais_desc", d.canary) != DRL_OK) return DRL_E_ARGUMENT;
    drl__defaults(drl__ais_fields, DRL__COUNT(drl__ais_fields), &d);
    if (!d.pilot) d.pilot = drl__min(d.count, drl__max(4, d.count / 4));
    if (drl__ais_check(ctx, &d) != DRL_OK) return DRL_E_ARGUMENT;
    memset(&chains, 0, sizeof chains);
    chains.count = d.count;
    chains.kernel = DRL_MCMC_HMC;
    chains.level = d.level;
    chains.labels = d.labels;
    chains.leapfrog = d.leapfrog;
    chains.step = d.step > 0 ? d.step : 1;
    chains.start = d.start;
    status = drl__mcmc_resolve(ctx, "drl_ais_create", energy, &chains, &chains);
    if (status == DRL_OK) status = drl__ais_new(ctx, &d, energy->size, &a);
    if (status == DRL_OK) status = drl__mcmc_new(ctx, "drl_ais_create", energy, &chains, &a->chains);
    if (status == DRL_OK) {
        a->chains->centre = a->mean;
        a->chains->inverse_variance = a->inverse_variance;
        status = drl__ais_begin(a, 1);      /* also before the pilot: a bad `start` is to be seen now */
    }
    if (status == DRL_OK && a->eps) status = drl__ais_begin(a, 0);
    if (status == DRL_OK) *out = a;
    else drl_ais_destroy(a);
    return status;
}

DRL_API int drl_ais_steps_left(const drl_ais *a)
{
    if (!a) return 0;
    return a->steps - a->k + (a->on_path ? 0 : a->steps);
}

DRL__CALL(drl_status, drl_ais_run, (drl_ais *a, int steps), (a, steps))
{
    if (!a) return drl__fail(NULL, DRL_E_ARGUMENT, "drl_ais_run: no path");
    if (drl__at_least(a->ctx, "drl_ais_run", "steps", steps, 0) != DRL_OK) return DRL_E_ARGUMENT;
    for (; steps > 0 && drl_ais_steps_left(a); --steps) {
        drl_status status = drl__ais_step(a);
        if (status != DRL_OK) return status;
    }
    return drl_ais_steps_left(a) ? DRL_RUNNING : DRL_OK;
}

/* With n = count:
 *   log Z    = log(1 / n sum of w), in reverse minus that
 *   ESS      = (sum of w)^2 / sum of w^2
 *   error    = sd(w) / (mean(w) sqrt(n)) = sqrt((n / ESS - 1) / (n - 1)) */
DRL__CALL(drl_status, drl_ais_look, (const drl_ais *a, drl_ais_result *result), (a, result))
{
    double largest, sum = 0, squares = 0, spread;
    int i;
    if (!a || !result)
        return drl__fail(a ? a->ctx : NULL, DRL_E_ARGUMENT,
                         "drl_ais_look: a path and a place for the result are needed");
    largest = a->log_w[0];
    for (i = 1; i < a->count; ++i)
        if (a->log_w[i] > largest) largest = a->log_w[i];
    for (i = 0; i < a->count; ++i) {
        double w = drl__exp(a->log_w[i] - largest);
        sum += w;
        squares += w * w;
    }
    result->log_z = largest + drl__log(sum / a->count);
    if (a->reverse) result->log_z = -result->log_z;
    result->ess = sum * sum / squares;
    spread = a->count / result->ess - 1;    /* rounding may leave it below 0 */
    result->error = a->count > 1 ? sqrt((spread > 0 ? spread : 0.0) / (a->count - 1)) : HUGE_VAL;
    result->accept = a->moves_made > 0 ? a->accept_sum / a->moves_made : 1.0;
    result->log_weight = a->log_w;
    return DRL_OK;
}

DRL_API void drl_ais_destroy(drl_ais *a)
{
    if (!a) return;
    drl_mcmc_destroy(a->chains);
    drl__free(a->ctx, a);
}

#define DRL__POINTS 64                      /* points that the functions below evaluate together, at most */

DRL__CALL(drl_status, drl_log_likelihood,
    (drl_ctx *ctx, const drl_energy *energy, const drl_schedule *schedule, int level, const int *labels,
     int n, const float *x, double log_z, double *log_p, float *work),
    (ctx, energy, schedule, level, labels, n, x, log_z, log_p, work))
{
    const char *who = "drl_log_likelihood";
    float *y = work, *f;
    int levels[DRL__POINTS], base, i, count;
    double a, shift;
    if (!ctx || !energy || !schedule || !log_p)
        return drl__fail(ctx, DRL_E_ARGUMENT, "%s: a context, an energy, a schedule and a place for the "
                         "results are needed", who);
    if (drl__energy_check(ctx, who, energy) != DRL_OK) return DRL_E_ARGUMENT;
    if (drl__schedule_check(ctx, who, schedule) != DRL_OK) return DRL_E_ARGUMENT;
    if (drl__level_check(ctx, who, schedule, level) != DRL_OK) return DRL_E_ARGUMENT;
    if (drl__at_least(ctx, who, "n", n, 1) != DRL_OK) return DRL_E_ARGUMENT;
    if (drl__floats_check(ctx, who, "x", x) != DRL_OK) return DRL_E_ARGUMENT;
    if (drl__floats_check(ctx, who, "work", work) != DRL_OK) return DRL_E_ARGUMENT;
    if (!drl__finite(log_z))
        return drl__fail(ctx, DRL_E_ARGUMENT, "%s: log_z is %g; it has to be finite", who, log_z);
    a = drl_schedule_scale(schedule, level);
    if (!(a > 0))
        return drl__fail(ctx, DRL_E_ARGUMENT, "%s: the schedule's a[%d] is %g; it has to be above 0", who,
                         level + 1, a);
    shift = (double)energy->size * drl__log(a) - log_z;
    f = work + (size_t)drl__min(n, DRL__POINTS) * energy->size;
    for (i = 0; i < DRL__POINTS; ++i) levels[i] = level;
    for (base = 0; base < n; base += count) {
        const float *x_base = x + (size_t)base * energy->size;
        drl_status status;
        count = drl__min(n - base, drl__min(energy->batch, DRL__POINTS));
        drl__axpby(ctx, (size_t)count * energy->size, (float)a, x_base, 0.0f, NULL, y);
        status = energy->eval(energy->user, count, y, levels, labels ? labels + base : NULL, f + base, NULL);
        if (status != DRL_OK)
            return drl__fail(ctx, status, "%s: the energy failed at level %d, points %d to %d", who, level,
                             base, base + count - 1);
        for (i = base; i < base + count; ++i)
            if (!drl__finite(f[i]))
                return drl__fail(ctx, DRL_E_NUMERIC, "%s: F of point %d is %g; it has to be finite", who, i,
                                 (double)f[i]);
    }
    for (i = 0; i < n; ++i) log_p[i] = (double)f[i] + shift;
    return DRL_OK;
}

DRL__CALL(double, drl_bits_per_dim, (double log_p, size_t size, double scale), (log_p, size, scale))
{
    if (!size || !(scale > 0)) return (double)NAN;
    return (drl__log(scale) - log_p / (double)size) / drl__log(2.0);
}

static const drl__field drl__grid_fields[] = {
    { "x0", DRL__DOUBLE, offsetof(drl_grid, x0), 0, -1e30, 1e30, DRL__OPEN },
    { "x1", DRL__DOUBLE, offsetof(drl_grid, x1), 0, -1e30, 1e30, DRL__OPEN },
    { "y0", DRL__DOUBLE, offsetof(drl_grid, y0), 0, -1e30, 1e30, DRL__OPEN },
    { "y1", DRL__DOUBLE, offsetof(drl_grid, y1), 0, -1e30, 1e30, DRL__OPEN },
    { "nx", DRL__INT,    offsetof(drl_grid, nx), 0, 1, INT32_MAX, 0 },
    { "ny", DRL__INT,    offsetof(drl_grid, ny), 0, 1, INT32_MAX, 0 }
};

/* *cells <- the number of the grid's cells. */
static drl_status drl__grid_check(drl_ctx *ctx, const char *who, const drl_grid *g, size_t *cells)
{
    if (!g) return drl__fail(ctx, DRL_E_ARGUMENT, "%s: grid is missing", who);
    if (drl__check(ctx, DRL_E_ARGUMENT, who, drl__grid_fields, DRL__COUNT(drl__grid_fields), g) != DRL_OK)
        return DRL_E_ARGUMENT;
    if (!(g->x0 < g->x1))
        return drl__fail(ctx, DRL_E_ARGUMENT, "%s: x1 is %g; it has to be above x0, which is %g", who, g->x1,
                         g->x0);
    if (!(g->y0 < g->y1))
        return drl__fail(ctx, DRL_E_ARGUMENT, "%s: y1 is %g; it has to be above y0, which is %g", who, g->y1,
                         g->y0);
    if (g->nx > INT32_MAX / g->ny)
        return drl__fail(ctx, DRL_E_ARGUMENT, "%s: nx is %d; with ny %d, 1 to %d are possible", who, g->nx,
                         g->ny, INT32_MAX / g->ny);
    *cells = (size_t)g->nx * (size_t)g->ny;
    return DRL_OK;
}

DRL__CALL(drl_status, drl_grid_evaluate,
    (drl_ctx *ctx, const drl_energy *energy, int level, int label, const drl_grid *g, double *f),
    (ctx, energy, level, label, g, f))
{
    const char *who = "drl_grid_evaluate";
    float y[DRL__POINTS][2], value[DRL__POINTS];
    int levels[DRL__POINTS], labels[DRL__POINTS], i, count;
    size_t cells, base;
    if (!ctx || !energy || !f)
        return drl__fail(ctx, DRL_E_ARGUMENT,
                         "drl_grid_evaluate: a context, an energy and a place for the results are needed");
    if (drl__energy_check(ctx, who, energy) != DRL_OK) return DRL_E_ARGUMENT;
    if (drl__at_least(ctx, who, "level", level, 0) != DRL_OK) return DRL_E_ARGUMENT;
    if (drl__at_least(ctx, who, "label", label, 0) != DRL_OK) return DRL_E_ARGUMENT;
    if (drl__grid_check(ctx, who, g, &cells) != DRL_OK) return DRL_E_ARGUMENT;
    if (energy->size != 2)
        return drl__fail(ctx, DRL_E_SHAPE, "%s: the energy's points have %z floats; in the plane they have 2",
                         who, energy->size);
    for (i = 0; i < DRL__POINTS; ++i) {
        levels[i] = level;
        labels[i] = label;
    }
    for (base = 0; base < cells; base += (size_t)count) {
        drl_status status;
        count = drl__min(cells - base < DRL__POINTS ? (int)(cells - base) : DRL__POINTS, energy->batch);
        for (i = 0; i < count; ++i) {
            size_t row = (base + (size_t)i) / (size_t)g->nx, column = (base + (size_t)i) % (size_t)g->nx;
            y[i][0] = (float)(g->x0 + (g->x1 - g->x0) * ((double)column + 0.5) / g->nx);
            y[i][1] = (float)(g->y0 + (g->y1 - g->y0) * ((double)row + 0.5) / g->ny);
        }
        status = energy->eval(energy->user, count, &y[0][0], levels, label ? labels : NULL, value, NULL);
        if (status != DRL_OK) return drl__fail(ctx, status, "%s: the energy failed at level %d", who, level);
        for (i = 0; i < count; ++i) {
            if (!drl__finite(value[i]))
                return drl__fail(ctx, DRL_E_NUMERIC, "%s: F at (%g, %g) is %g; it has to be finite", who,
                                 (double)y[i][0], (double)y[i][1], (double)value[i]);
            f[base + (size_t)i] = (double)value[i];
        }
    }
    return DRL_OK;
}

static drl_status drl__grid_check_values(drl_ctx *ctx, const char *who, const double *f, size_t cells)
{
    size_t i;
    for (i = 0; i < cells; ++i)
        if (!drl__finite(f[i]))
            return drl__fail(ctx, DRL_E_NUMERIC, "%s: f[%z] is %g; it has to be finite", who, i, f[i]);
    return DRL_OK;
}

/* log of the sum of exp(factor * f) over the cells. No exp overflows, as the largest term is taken out. */
static double drl__grid_log_sum(const double *f, size_t cells, double factor)
{
    double largest = factor * f[0], sum = 0;
    size_t i;
    for (i = 1; i < cells; ++i)
        if (factor * f[i] > largest) largest = factor * f[i];
    for (i = 0; i < cells; ++i) sum += drl__exp(factor * f[i] - largest);
    return largest + drl__log(sum);
}

/* The midpoint rule: log of the sum of exp(factor * f) times the area of a cell. */
DRL__CALL(drl_status, drl_grid_log_z,
    (drl_ctx *ctx, const drl_grid *g, const double *f, double factor, double *log_z),
    (ctx, g, f, factor, log_z))
{
    const char *who = "drl_grid_log_z";
    size_t cells;
    double v;
    if (!f || !log_z)
        return drl__fail(ctx, DRL_E_ARGUMENT, "%s: values and a place for the result are needed", who);
    if (drl__grid_check(ctx, who, g, &cells) != DRL_OK) return DRL_E_ARGUMENT;
    if (!drl__finite(factor))
        return drl__fail(ctx, DRL_E_NUMERIC, "%s: factor is %g; it has to be finite", who, factor);
    if (drl__grid_check_values(ctx, who, f, cells) != DRL_OK) return DRL_E_NUMERIC;
    v = drl__grid_log_sum(f, cells, factor)
        + drl__log((g->x1 - g->x0) / g->nx)
        + drl__log((g->y1 - g->y0) / g->ny);
    if (!drl__finite(v))
        return drl__fail(ctx, DRL_E_NUMERIC, "%s: factor is %g; factor * f does not fit a double", who,
                         factor);
    *log_z = v;
    return DRL_OK;
}

/* With P = p / sum of p and Q = exp(f) / sum of exp(f):
 *   KL(P || Q) = sum over the cells of P (log P - log Q) */
DRL__CALL(drl_status, drl_grid_kl,
    (drl_ctx *ctx, const drl_grid *g, const double *p, const double *f, double *kl),
    (ctx, g, p, f, kl))
{
    const char *who = "drl_grid_kl";
    size_t cells, i;
    double all = 0, sum = 0, log_z;
    if (!p || !f || !kl)
        return drl__fail(ctx, DRL_E_ARGUMENT, "%s: a density, values and a place for the result are needed",
                         who);
    if (drl__grid_check(ctx, who, g, &cells) != DRL_OK) return DRL_E_ARGUMENT;
    for (i = 0; i < cells; ++i) {
        if (!(p[i] >= 0 && p[i] < 1e300))
            return drl__fail(ctx, DRL_E_NUMERIC, "%s: p[%z] is %g; 0 to below 1e300 are possible", who, i,
                             p[i]);
        all += p[i];
    }
    if (!(all > 0)) return drl__fail(ctx, DRL_E_NUMERIC, "%s: p is 0 in all %z cells", who, cells);
    if (drl__grid_check_values(ctx, who, f, cells) != DRL_OK) return DRL_E_NUMERIC;
    log_z = drl__grid_log_sum(f, cells, 1);
    for (i = 0; i < cells; ++i)
        if (p[i] > 0) sum += p[i] / all * (drl__log(p[i]) - drl__log(all) - (f[i] - log_z));
    *kl = sum;
    return DRL_OK;
}

/* -----------------------------------------------------------------------------------------------------------
 * [metrics.impl] - distances between sets of samples, and scores of them, in double.
 * -------------------------------------------------------------------------------------------------------- */

/* Turns rows or columns p and q of a matrix: x_p <- c x_p - s x_q, x_q <- s x_p + c x_q. The n elements of
 * either are `stride` numbers apart. */
static void drl__rotate(double *x_p, double *x_q, int n, int stride, double c, double s)
{
    int k;
    for (k = 0; k < n; ++k) {
        double x = x_p[k * stride], y = x_q[k * stride];
        x_p[k * stride] = c * x - s * y;
        x_q[k * stride] = s * x + c * y;
    }
}

/* Eigenvalues of the symmetric matrix a [n * n], on its diagonal, and eigenvectors, in the columns of
 * v [n * n], by cyclic Jacobi rotations. The rotation by the angle of tangent t makes a_pq zero:
 *   theta = (a_qq - a_pp) / (2 a_pq)
 *   t     = sign(theta) / (|theta| + sqrt(theta^2 + 1)) */
static void drl__jacobi(double *a, double *v, int n)
{
    int sweep, p, q;
    for (p = 0; p < n * n; ++p) v[p] = p % (n + 1) ? 0.0 : 1.0;
    for (sweep = 0; sweep < 60; ++sweep) {
        double off = 0, diagonal = 0;
        for (p = 0; p < n; ++p)
            for (q = 0; q < n; ++q) *(p == q ? &diagonal : &off) += a[p * n + q] * a[p * n + q];
        if (off <= 1e-26 * diagonal) break;
        for (p = 0; p < n - 1; ++p)
            for (q = p + 1; q < n; ++q) {
                double apq = a[p * n + q], theta, t, c;
                if (apq == 0) continue;
                theta = (a[q * n + q] - a[p * n + p]) / (2 * apq);
                t = (theta < 0 ? -1 : 1) / (fabs(theta) + sqrt(theta * theta + 1));
                c = 1 / sqrt(t * t + 1);
                drl__rotate(a + p, a + q, n, n, c, t * c);
                drl__rotate(a + p * n, a + q * n, n, 1, c, t * c);
                drl__rotate(v + p, v + q, n, n, c, t * c);
            }
    }
}

/* Mean [dim] and covariance [dim * dim], with divisor n - 1, of x [n * dim]. */
static void drl__moments(const float *x, int n, int dim, double *mean, double *cov)
{
    int i, j, k;
    for (j = 0; j < dim; ++j) mean[j] = 0;
    for (j = 0; j < dim * dim; ++j) cov[j] = 0;
    for (i = 0; i < n; ++i) {
        const float *row = x + (size_t)i * (size_t)dim;
        for (j = 0; j < dim; ++j) mean[j] += (double)row[j] / n;
    }
    for (i = 0; i < n; ++i) {
        const float *row = x + (size_t)i * (size_t)dim;
        for (j = 0; j < dim; ++j) {
            double d = (double)row[j] - mean[j];
            for (k = 0; k <= j; ++k) cov[j * dim + k] += d * ((double)row[k] - mean[k]) / (n - 1);
        }
    }
    for (j = 0; j < dim; ++j)
        for (k = 0; k < j; ++k) cov[k * dim + j] = cov[j * dim + k];
}

/* c <- a b, matrices of n rows and n columns. */
static void drl__matrix_product(const double *a, const double *b, int n, double *c)
{
    int i, j, k;
    for (i = 0; i < n; ++i)
        for (j = 0; j < n; ++j) {
            double sum = 0;
            for (k = 0; k < n; ++k) sum += a[i * n + k] * b[k * n + j];
            c[i * n + j] = sum;
        }
}

/* Rounding may leave an eigenvalue of 0 below 0. */
static double drl__eigenvalue_root(double x) { return x > 0 ? sqrt(x) : 0.0; }

/* root <- V L^(1/2) V', where drl__jacobi has left L on the diagonal of l. */
static void drl__matrix_root(const double *l, const double *v, int n, double *root)
{
    int i, j, k;
    for (i = 0; i < n; ++i)
        for (j = 0; j < n; ++j) {
            double sum = 0;
            for (k = 0; k < n; ++k) sum += v[i * n + k] * drl__eigenvalue_root(l[k * n + k]) * v[j * n + k];
            root[i * n + j] = sum;
        }
}

/* The Frechet distance of two Gaussians with means m1, m2 and covariances S1, S2:                  [Heusel17]
 *   |m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2)
 * With S1 = V L V' and R = S1^(1/2) = V L^(1/2) V', the matrices S1 S2 and R S2 R have the same eigenvalues.
 * The latter is symmetric:
 *   tr (S1 S2)^(1/2) = sum of the roots of the eigenvalues of R S2 R */
DRL__CALL(drl_status, drl_frechet,
    (drl_ctx *ctx, const float *a, int na, const float *b, int nb, int dim, double *work, double *distance),
    (ctx, a, na, b, nb, dim, work, distance))
{
    const char *who = "drl_frechet";
    double *s1 = work, *s2, *v, *product, *root, *m1, *m2, total = 0;
    size_t square;
    int i;
    if (!work || !distance)
        return drl__fail(ctx, DRL_E_ARGUMENT, "%s: work and a place for the result are needed", who);
    if (drl__floats_check(ctx, who, "a", a) != DRL_OK) return DRL_E_ARGUMENT;
    if (drl__floats_check(ctx, who, "b", b) != DRL_OK) return DRL_E_ARGUMENT;
    if (drl__at_least(ctx, who, "na", na, 2) != DRL_OK) return DRL_E_ARGUMENT;
    if (drl__at_least(ctx, who, "nb", nb, 2) != DRL_OK) return DRL_E_ARGUMENT;
    if (dim < 1 || dim > 8192)
        return drl__fail(ctx, DRL_E_ARGUMENT, "%s: dim is %d; 1 to 8192 are possible", who, dim);
    square = (size_t)dim * (size_t)dim;
    s2 = s1 + square;
    v = s2 + square;
    product = v + square;
    root = product + square;
    m1 = root + square;
    m2 = m1 + dim;
    drl__moments(a, na, dim, m1, s1);
    drl__moments(b, nb, dim, m2, s2);
    for (i = 0; i < dim; ++i)
        total += (m1[i] - m2[i]) * (m1[i] - m2[i]) + s1[i * dim + i] + s2[i * dim + i];
    drl__jacobi(s1, v, dim);
    drl__matrix_root(s1, v, dim, root);
    drl__matrix_product(root, s2, dim, product);
    drl__matrix_product(product, root, dim, s1);
    drl__jacobi(s1, v, dim);
    for (i = 0; i < dim; ++i) total -= 2 * drl__eigenvalue_root(s1[i * dim + i]);
    if (!drl__finite(total)) return drl__fail(ctx, DRL_E_NUMERIC, "%s: a feature is not finite", who);
    *distance = total > 0 ? total : 0;
    return DRL_OK;
}

/* set: of the argument, for the sentence. Infinities can be compared, so they pass. */
static drl_status drl__auroc_check(drl_ctx *ctx, const char *set, const float *x, int n)
{
    int i;
    for (i = 0; i < n; ++i)
        if ((drl__bits32(x[i]) & 0x7fffffff) > 0x7f800000)
            return drl__fail(ctx, DRL_E_NUMERIC, "drl_auroc: %s[%d] is not a number", set, i);
    return DRL_OK;
}

/* Over all pairs of a number of a and a number of b:
 *   area = P(a > b) + P(a = b) / 2 */
DRL__CALL(drl_status, drl_auroc,
    (drl_ctx *ctx, const float *a, int na, const float *b, int nb, double *area),
    (ctx, a, na, b, nb, area))
{
    const char *who = "drl_auroc";
    double sum = 0;
    int i, j;
    if (!area) return drl__fail(ctx, DRL_E_ARGUMENT, "%s: a place for the result is needed", who);
    if (drl__floats_check(ctx, who, "a", a) != DRL_OK) return DRL_E_ARGUMENT;
    if (drl__floats_check(ctx, who, "b", b) != DRL_OK) return DRL_E_ARGUMENT;
    if (drl__at_least(ctx, who, "na", na, 1) != DRL_OK) return DRL_E_ARGUMENT;
    if (drl__at_least(ctx, who, "nb", nb, 1) != DRL_OK) return DRL_E_ARGUMENT;
    if (na > INT32_MAX - nb)
        return drl__fail(ctx, DRL_E_ARGUMENT, "%s: na is %d; with nb %d, 1 to %d are possible", who, na, nb,
                         INT32_MAX - nb);
    if (drl__auroc_check(ctx, "a", a, na) != DRL_OK) return DRL_E_NUMERIC;
    if (drl__auroc_check(ctx, "b", b, nb) != DRL_OK) return DRL_E_NUMERIC;
    for (i = 0; i < na; ++i)
        for (j = 0; j < nb; ++j) sum += a[i] > b[j] ? 1.0 : a[i] < b[j] ? 0.0 : 0.5;
    *area = sum / na / nb;
    return DRL_OK;
}

/* With p(c) the mean of p(c | image) over the n images:                                         [Salimans16]
 *   score = exp(1 / n sum over images and classes c of p(c | image) (log p(c | image) - log p(c))) */
DRL__CALL(drl_status, drl_inception_score,
    (drl_ctx *ctx, const float *p, int n, int classes, double *score),
    (ctx, p, n, classes, score))
{
    const char *who = "drl_inception_score";
    double sum = 0;
    int i, c;
    if (!score) return drl__fail(ctx, DRL_E_ARGUMENT, "%s: a place for the result is needed", who);
    if (drl__floats_check(ctx, who, "p", p) != DRL_OK) return DRL_E_ARGUMENT;
    if (drl__at_least(ctx, who, "n", n, 1) != DRL_OK) return DRL_E_ARGUMENT;
    if (drl__at_least(ctx, who, "classes", classes, 1) != DRL_OK) return DRL_E_ARGUMENT;
    for (c = 0; c < classes; ++c) {
        double mean = 0;
        for (i = 0; i < n; ++i) mean += (double)p[(size_t)i * (size_t)classes + (size_t)c] / n;
        for (i = 0; i < n; ++i) {
            double q = (double)p[(size_t)i * (size_t)classes + (size_t)c];
            if (!(q >= 0 && q <= 1.0001))
                return drl__fail(ctx, DRL_E_NUMERIC,
                                 "%s: class %d of image %d has probability %g; 0 to 1 are possible",
                                 who, c, i, q);
            if (q > 0) sum += q * (drl__log(q) - drl__log(mean)) / n;
        }
    }
    *score = drl__exp(sum);
    return DRL_OK;
}

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#endif
#ifdef DRL__CLANG_FAST
#pragma float_control(pop)
#endif
#endif /* DRL_IMPLEMENTATION */

#else /* DRL__PASS */
/* -----------------------------------------------------------------------------------------------------------
 * [simd] - the kernels, compiled once per instruction set: first the vocabulary of each set, then one text
 * that all sets share.
 *
 * Three rules give all fused sets the same bits:
 *   1. An output element is one chain of drl__vfma in a fixed order. Products are added by drl__vfma alone,
 *      so a compiler finds nothing to fuse.
 *   2. A sum over a contiguous vector has DRL__LANES partial sums. Half of them are added to the other half
 *      until one is left.
 *   3. vmax(a, b) is a > b ? a : b, and vmin(a, b) is a < b ? a : b: b, if a or b is not a number.
 *
 * The vocabulary, of vectors of DRL__VL floats and of as many 32-bit integers (names with vi):
 *   DRL__MR, DRL__NV    a tile of a matrix product: DRL__MR rows of DRL__NV vectors, held in registers
 *   vset                a vector of equal numbers
 *   vfma(a, b, c)       a * b + c
 *   vload_n, vstore_n   the first n floats of a vector, or all of them if n >= DRL__VL; n >= 1. The rest of a
 *                       loaded vector is zero
 *   vpositive(x)        one bit per lane: x > 0
 *   vpick(bits, a, b)   lane by lane: a where the bit is set, else b
 *   vzip_low, vzip_high a0 b0 a1 b1 ... from the lower or from the upper halves of a and b
 *   vbits, vfrombits    floats as integers of the same bits, and back
 *   vifloat             integers, below 2^31, to floats
 *   vimulhl             32-bit lanes times a constant: the high and the low halves of the 64-bit products
 * -------------------------------------------------------------------------------------------------------- */
#if DRL__PASS == 0
#define DRL__ISA        portable
#define DRL__ISA_ID     DRL_ISA_PORTABLE
#define DRL__TARGET
#define DRL__VL         1
#define DRL__MR         4
#define DRL__NV         4
#define drl__v          float
#define drl__vi         uint32_t
#define drl__vload(p)        (*(p))
#define drl__vstore(p, x)    (*(p) = (x))
#define drl__vload_n(p, n)   ((void)(n), *(p))
#define drl__vstore_n(p, n, x) ((void)(n), (void)(*(p) = (x)))
#define drl__vset(x)         (x)
#define drl__vadd(a, b)      ((a) + (b))
#define drl__vsub(a, b)      ((a) - (b))
#define drl__vmul(a, b)      ((a) * (b))
#define drl__vdiv(a, b)      ((a) / (b))
#if defined(__GNUC__) && !defined(__TINYC__)
#define drl__vsqrt(a)        __builtin_sqrtf(a)     /* no call, if there is an instruction: -ffreestanding */
#else
#define drl__vsqrt(a)        sqrtf(a)
#endif
#define drl__vfma(a, b, c)   drl__fmaf(a, b, c)
#define drl__vmax(a, b)      drl__fmax_second(a, b)
#define drl__vmin(a, b)      drl__fmin_second(a, b)
#define drl__vpositive(x)    ((x) > 0 ? 1u : 0u)
#define drl__vpick(bits, a, b) (((bits) & 1u) ? (a) : (b))
#define drl__vzip_low(a, b)  ((void)(b), (a))
#define drl__vzip_high(a, b) ((void)(a), (b))
#define drl__viload(p)       (*(p))
#define drl__viset(x)        (x)
#define drl__viadd(a, b)     ((a) + (b))
#define drl__visub(a, b)     ((a) - (b))
#define drl__viand(a, b)     ((a) & (b))
#define drl__vixor(a, b)     ((a) ^ (b))
#define drl__vishl(a, n)     ((a) << (n))
#define drl__vishr(a, n)     ((a) >> (n))
#define drl__vifloat(a)      ((float)(int32_t)(a))
#define drl__vbits(x)        drl__bits32(x)
#define drl__vfrombits(a)    drl__float_of(a)
DRL__INLINE float drl__fmax_second(float a, float b) { return a > b ? a : b; }
DRL__INLINE float drl__fmin_second(float a, float b) { return a < b ? a : b; }

#elif DRL__PASS == 1 || DRL__PASS == 5      /* vectors of 16 bytes; the two sets differ in drl__vfma alone */
#if DRL__PASS == 1
#define DRL__ISA        sse2
#define DRL__ISA_ID     DRL_ISA_SSE2
#define DRL__TARGET     DRL__ATTR("sse2")
#define drl__vfma(a, b, c)   _mm_add_ps(_mm_mul_ps(a, b), c)
#else
#define DRL__ISA        fma128
#define DRL__ISA_ID     DRL_ISA_FMA128
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12
/* gcc 12 and later make vectors of plain loops at -O2: these must not be wider than 16 bytes either. */
#define DRL__TARGET     DRL__ATTR("avx,fma,prefer-vector-width=128")
#else
#define DRL__TARGET     DRL__ATTR("avx,fma")
#endif
#define drl__vfma(a, b, c)   _mm_fmadd_ps(a, b, c)
#endif
#define DRL__VL         4
#define DRL__MR         6
#define DRL__NV         2
#define drl__v          __m128
#define drl__vi         __m128i
#define drl__vload(p)        _mm_loadu_ps(p)
#define drl__vstore(p, x)    _mm_storeu_ps(p, x)
#define drl__vset(x)         _mm_set1_ps(x)
#define drl__vadd(a, b)      _mm_add_ps(a, b)
#define drl__vsub(a, b)      _mm_sub_ps(a, b)
#define drl__vmul(a, b)      _mm_mul_ps(a, b)
#define drl__vdiv(a, b)      _mm_div_ps(a, b)
#define drl__vsqrt(a)        _mm_sqrt_ps(a)
#define drl__vmax(a, b)      _mm_max_ps(a, b)
#define drl__vmin(a, b)      _mm_min_ps(a, b)
#define drl__vpositive(x)    ((unsigned)_mm_movemask_ps(_mm_cmplt_ps(_mm_setzero_ps(), x)))
#define drl__viload(p)       _mm_loadu_si128((const __m128i *)(const void *)(p))
#define drl__viset(x)        _mm_set1_epi32((int)(x))
#define drl__viadd(a, b)     _mm_add_epi32(a, b)
#define drl__visub(a, b)     _mm_sub_epi32(a, b)
#define drl__viand(a, b)     _mm_and_si128(a, b)
#define drl__vixor(a, b)     _mm_xor_si128(a, b)
#define drl__vishl(a, n)     _mm_slli_epi32(a, n)
#define drl__vishr(a, n)     _mm_srli_epi32(a, n)
#define drl__vifloat(a)      _mm_cvtepi32_ps(a)
#define drl__vbits(x)        _mm_castps_si128(x)
#define drl__vfrombits(a)    _mm_castsi128_ps(a)
#define DRL__MUL64(a, b)     _mm_mul_epu32(a, b)
#define DRL__SHR32_64(a)     _mm_srli_epi64(a, 32)
#define DRL__SHL32_64(a)     _mm_slli_epi64(a, 32)
#define DRL__LOW32_64        _mm_set_epi32(0, -1, 0, -1)
#define drl__vzip_low(a, b)  _mm_unpacklo_ps(a, b)
#define drl__vzip_high(a, b) _mm_unpackhi_ps(a, b)
#define drl__vpick(bits, a, b) DRL__FN(drl__pick4)(bits, a, b)
DRL__INLINE DRL__TARGET __m128 DRL__FN(drl__pick4)(unsigned bits, __m128 a, __m128 b)
{
    const __m128i lane = _mm_set_epi32(8, 4, 2, 1);
    __m128 m = _mm_castsi128_ps(_mm_cmpeq_epi32(_mm_and_si128(_mm_set1_epi32((int)bits), lane), lane));
    return _mm_or_ps(_mm_and_ps(m, a), _mm_andnot_ps(m, b));
}

#elif DRL__PASS == 2
#define DRL__ISA        avx2
#define DRL__ISA_ID     DRL_ISA_AVX2
#define DRL__TARGET     DRL__ATTR("avx2,fma")
#define DRL__VL         8
#define DRL__MR         6
#define DRL__NV         2
#define drl__v          __m256
#define drl__vi         __m256i
#define drl__vload(p)        _mm256_loadu_ps(p)
#define drl__vstore(p, x)    _mm256_storeu_ps(p, x)
#define drl__vset(x)         _mm256_set1_ps(x)
#define drl__vadd(a, b)      _mm256_add_ps(a, b)
#define drl__vsub(a, b)      _mm256_sub_ps(a, b)
#define drl__vmul(a, b)      _mm256_mul_ps(a, b)
#define drl__vdiv(a, b)      _mm256_div_ps(a, b)
#define drl__vsqrt(a)        _mm256_sqrt_ps(a)
#define drl__vfma(a, b, c)   _mm256_fmadd_ps(a, b, c)
#define drl__vmax(a, b)      _mm256_max_ps(a, b)
#define drl__vmin(a, b)      _mm256_min_ps(a, b)
#define drl__vpositive(x)    ((unsigned)_mm256_movemask_ps(_mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_GT_OQ)))
#define drl__viload(p)       _mm256_loadu_si256((const __m256i *)(const void *)(p))
#define drl__viset(x)        _mm256_set1_epi32((int)(x))
#define drl__viadd(a, b)     _mm256_add_epi32(a, b)
#define drl__visub(a, b)     _mm256_sub_epi32(a, b)
#define drl__viand(a, b)     _mm256_and_si256(a, b)
#define drl__vixor(a, b)     _mm256_xor_si256(a, b)
#define drl__vishl(a, n)     _mm256_slli_epi32(a, n)
#define drl__vishr(a, n)     _mm256_srli_epi32(a, n)
#define drl__vifloat(a)      _mm256_cvtepi32_ps(a)
#define drl__vbits(x)        _mm256_castps_si256(x)
#define drl__vfrombits(a)    _mm256_castsi256_ps(a)
#define DRL__MUL64(a, b)     _mm256_mul_epu32(a, b)
#define DRL__SHR32_64(a)     _mm256_srli_epi64(a, 32)
#define DRL__SHL32_64(a)     _mm256_slli_epi64(a, 32)
#define DRL__LOW32_64        _mm256_set1_epi64x(0xFFFFFFFFLL)
#define drl__vzip_low(a, b)  _mm256_permute2f128_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b), 0x20)
#define drl__vzip_high(a, b) _mm256_permute2f128_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b), 0x31)
#define drl__vpick(bits, a, b) drl__vpick_avx2(bits, a, b)
DRL__INLINE DRL__TARGET __m256 drl__vpick_avx2(unsigned bits, __m256 a, __m256 b)
{
    const __m256i lane = _mm256_set_epi32(128, 64, 32, 16, 8, 4, 2, 1);
    __m256i set = _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32((int)bits), lane), lane);
    return _mm256_blendv_ps(b, a, _mm256_castsi256_ps(set));
}

#elif DRL__PASS == 3
#define DRL__ISA        avx512
#define DRL__ISA_ID     DRL_ISA_AVX512
#define DRL__TARGET     DRL__ATTR("avx512f")
#define DRL__VL         16
#define DRL__MR         6
#define DRL__NV         4
#define drl__v          __m512
#define drl__vi         __m512i
#define drl__vload(p)        _mm512_loadu_ps(p)
#define drl__vstore(p, x)    _mm512_storeu_ps(p, x)
#define drl__vload_n(p, n)   _mm512_maskz_loadu_ps(DRL__FIRST(n), p)
#define drl__vstore_n(p, n, x) _mm512_mask_storeu_ps(p, DRL__FIRST(n), x)
#define DRL__FIRST(n)        ((__mmask16)((n) >= 16 ? 0xFFFFu : (1u << (n)) - 1u))
#define DRL__ALL             ((__mmask16)0xFFFF)    /* masked forms: g++ warns of the others in its headers */
#define drl__vset(x)         _mm512_set1_ps(x)
#define drl__vadd(a, b)      _mm512_add_ps(a, b)
#define drl__vsub(a, b)      _mm512_sub_ps(a, b)
#define drl__vmul(a, b)      _mm512_mul_ps(a, b)
#define drl__vdiv(a, b)      _mm512_div_ps(a, b)
#define drl__vsqrt(a)        _mm512_maskz_sqrt_ps(DRL__ALL, a)
#define drl__vfma(a, b, c)   _mm512_fmadd_ps(a, b, c)
#define drl__vmax(a, b)      _mm512_maskz_max_ps(DRL__ALL, a, b)
#define drl__vmin(a, b)      _mm512_maskz_min_ps(DRL__ALL, a, b)
#define drl__vpositive(x)    ((unsigned)_mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_GT_OQ))
#define drl__vpick(bits, a, b) _mm512_mask_blend_ps((__mmask16)(bits), b, a)
#define drl__vzip_low(a, b)  _mm512_permutex2var_ps(a, DRL__ZIP512(0), b)
#define drl__vzip_high(a, b) _mm512_permutex2var_ps(a, DRL__ZIP512(8), b)
#define DRL__ZIP512(i) \
    _mm512_set_epi32(i + 23, i + 7, i + 22, i + 6, i + 21, i + 5, i + 20, i + 4, \
                     i + 19, i + 3, i + 18, i + 2, i + 17, i + 1, i + 16, i)
#define drl__viload(p)       _mm512_loadu_si512((const void *)(p))
#define drl__viset(x)        _mm512_set1_epi32((int)(x))
#define drl__viadd(a, b)     _mm512_add_epi32(a, b)
#define drl__visub(a, b)     _mm512_sub_epi32(a, b)
#define drl__viand(a, b)     _mm512_and_si512(a, b)
#define drl__vixor(a, b)     _mm512_xor_si512(a, b)
#define drl__vishl(a, n)     _mm512_maskz_slli_epi32(DRL__ALL, a, n)
#define drl__vishr(a, n)     _mm512_maskz_srli_epi32(DRL__ALL, a, n)
#define drl__vifloat(a)      _mm512_maskz_cvtepi32_ps(DRL__ALL, a)
#define drl__vbits(x)        _mm512_castps_si512(x)
#define drl__vfrombits(a)    _mm512_castsi512_ps(a)
#define DRL__MUL64(a, b)     _mm512_maskz_mul_epu32(0xFF, a, b)
#define DRL__SHR32_64(a)     _mm512_maskz_srli_epi64(0xFF, a, 32)
#define DRL__SHL32_64(a)     _mm512_maskz_slli_epi64(0xFF, a, 32)
#define DRL__LOW32_64        _mm512_set1_epi64(0xFFFFFFFFLL)

#elif DRL__PASS == 4
#define DRL__ISA        neon
#define DRL__ISA_ID     DRL_ISA_NEON
#define DRL__TARGET
#define DRL__VL         4
#define DRL__MR         4              /* gcc keeps 4x4 in registers, but not 6x4 */
#define DRL__NV         4
#define drl__v          float32x4_t
#define drl__vi         uint32x4_t
#define drl__vload(p)        vld1q_f32(p)
#define drl__vstore(p, x)    vst1q_f32(p, x)
#define drl__vset(x)         vdupq_n_f32(x)
#define drl__vadd(a, b)      vaddq_f32(a, b)
#define drl__vsub(a, b)      vsubq_f32(a, b)
#define drl__vmul(a, b)      vmulq_f32(a, b)
#define drl__vdiv(a, b)      vdivq_f32(a, b)
#define drl__vsqrt(a)        vsqrtq_f32(a)
#define drl__vfma(a, b, c)   vfmaq_f32(c, a, b)
#define drl__vmax(a, b)      vbslq_f32(vcgtq_f32(a, b), a, b)
#define drl__vmin(a, b)      vbslq_f32(vcltq_f32(a, b), a, b)
#define drl__vpositive(x)    vaddvq_u32(vandq_u32(vcgtq_f32(x, vdupq_n_f32(0)), drl__lanes_neon()))
#define drl__vpick(bits, a, b) vbslq_f32(vtstq_u32(vdupq_n_u32(bits), drl__lanes_neon()), a, b)
#define drl__vzip_low(a, b)  vzip1q_f32(a, b)
#define drl__vzip_high(a, b) vzip2q_f32(a, b)
#define drl__viload(p)       vld1q_u32(p)
#define drl__viset(x)        vdupq_n_u32(x)
#define drl__viadd(a, b)     vaddq_u32(a, b)
#define drl__visub(a, b)     vsubq_u32(a, b)
#define drl__viand(a, b)     vandq_u32(a, b)
#define drl__vixor(a, b)     veorq_u32(a, b)
#define drl__vishl(a, n)     vshlq_n_u32(a, n)
#define drl__vishr(a, n)     vshrq_n_u32(a, n)
#define drl__vifloat(a)      vcvtq_f32_s32(vreinterpretq_s32_u32(a))
#define drl__vbits(x)        vreinterpretq_u32_f32(x)
#define drl__vfrombits(a)    vreinterpretq_f32_u32(a)
DRL__INLINE uint32x4_t drl__lanes_neon(void)
{
    static const uint32_t lane[4] = { 1, 2, 4, 8 };
    return vld1q_u32(lane);
}

#elif DRL__PASS == 6        /* wasm_f32x4_pmin(a, b) is b < a ? b : a: vmin and vmax swap their operands */
#define DRL__ISA        wasm
#define DRL__ISA_ID     DRL_ISA_WASM
#define DRL__TARGET
#define DRL__VL         4
#define DRL__MR         6
#define DRL__NV         2
#define drl__v          v128_t
#define drl__vi         v128_t
#define drl__vload(p)        wasm_v128_load(p)
#define drl__vstore(p, x)    wasm_v128_store(p, x)
#define drl__vset(x)         wasm_f32x4_splat(x)
#define drl__vadd(a, b)      wasm_f32x4_add(a, b)
#define drl__vsub(a, b)      wasm_f32x4_sub(a, b)
#define drl__vmul(a, b)      wasm_f32x4_mul(a, b)
#define drl__vdiv(a, b)      wasm_f32x4_div(a, b)
#define drl__vsqrt(a)        wasm_f32x4_sqrt(a)
#define drl__vfma(a, b, c)   wasm_f32x4_add(wasm_f32x4_mul(a, b), c)
#define drl__vmax(a, b)      wasm_f32x4_pmax(b, a)
#define drl__vmin(a, b)      wasm_f32x4_pmin(b, a)
#define drl__vpositive(x)    ((unsigned)wasm_i32x4_bitmask(wasm_f32x4_gt(x, wasm_f32x4_splat(0.0f))))
#define drl__vpick(bits, a, b) wasm_v128_bitselect(a, b, drl__lanes_wasm(bits))
#define drl__vzip_low(a, b)  wasm_i32x4_shuffle(a, b, 0, 4, 1, 5)
#define drl__vzip_high(a, b) wasm_i32x4_shuffle(a, b, 2, 6, 3, 7)
#define drl__viload(p)       wasm_v128_load(p)
#define drl__viset(x)        wasm_i32x4_splat((int32_t)(x))
#define drl__viadd(a, b)     wasm_i32x4_add(a, b)
#define drl__visub(a, b)     wasm_i32x4_sub(a, b)
#define drl__viand(a, b)     wasm_v128_and(a, b)
#define drl__vixor(a, b)     wasm_v128_xor(a, b)
#define drl__vishl(a, n)     wasm_i32x4_shl(a, n)
#define drl__vishr(a, n)     wasm_u32x4_shr(a, n)
#define drl__vifloat(a)      wasm_f32x4_convert_i32x4(a)
#define drl__vbits(x)        (x)
#define drl__vfrombits(a)    (a)
DRL__INLINE v128_t drl__lanes_wasm(unsigned bits)
{
    const v128_t lane = wasm_i32x4_const(1, 2, 4, 8);
    return wasm_i32x4_eq(wasm_v128_and(wasm_i32x4_splat((int32_t)bits), lane), lane);
}
#endif

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC push_options
/* Kernels are fast in debug builds, too. O3, and the passes switched off here, take longer to compile and
 * make nothing faster. Portable C is slower without those passes. */
#pragma GCC optimize("O2", "no-fast-math", "fp-contract=off")
#if DRL__PASS
#pragma GCC optimize("no-tree-pre", "no-gcse", "no-tree-vrp", "no-thread-jumps")
#endif
#endif

/* DRL__EACH unrolls a loop over registers. DRL__REPEAT is for loops over so many that portable C, whose
 * vectors are single floats, has no registers for them: there it remains a loop. */
#if DRL__PASS == 0
#define DRL__REPEAT(i, n) for (i = 0; i < (n); ++i)
#else
#define DRL__REPEAT(i, n) DRL__EACH(i, n)
#endif

#ifndef drl__vload_n
#define drl__vload_n(p, n)     DRL__FN(drl__load_first)(p, n)
#define drl__vstore_n(p, n, x) DRL__FN(drl__store_first)(p, n, x)
#if DRL__PASS == 2
/* A loop over floats, and a load of what it has stored, took a third of the time of models of 14 channels. */
DRL__RARE DRL__TARGET drl__v DRL__FN(drl__load_rest)(const float *p, size_t n)
{
    static const int32_t mask[2 * DRL__VL] = { -1, -1, -1, -1, -1, -1, -1, -1, 0 };
    return _mm256_maskload_ps(p, drl__viload(mask + DRL__VL - n));
}
#elif DRL__PASS == 1 || DRL__PASS == 5
DRL__RARE DRL__TARGET drl__v DRL__FN(drl__load_rest)(const float *p, size_t n)
{
    __m128 low = n > 1 ? _mm_castsi128_ps(_mm_loadl_epi64((const __m128i *)(const void *)p)) : _mm_load_ss(p);
    return n > 2 ? _mm_movelh_ps(low, _mm_load_ss(p + 2)) : low;
}
#elif DRL__PASS == 4
DRL__RARE DRL__TARGET drl__v DRL__FN(drl__load_rest)(const float *p, size_t n)
{
    const float32x2_t zero = vdup_n_f32(0.0f);
    return vcombine_f32(n > 1 ? vld1_f32(p) : vld1_lane_f32(p, zero, 0),
                        n > 2 ? vld1_lane_f32(p + 2, zero, 0) : zero);
}
#elif DRL__PASS == 6
DRL__RARE DRL__TARGET drl__v DRL__FN(drl__load_rest)(const float *p, size_t n)
{
    v128_t low = n > 1 ? wasm_v128_load64_zero(p) : wasm_v128_load32_zero(p);
    return n > 2 ? wasm_v128_load32_lane(p + 2, low, 2) : low;
}
#else
DRL__RARE DRL__TARGET drl__v DRL__FN(drl__load_rest)(const float *p, size_t n)
{
    float t[DRL__VL] = { 0 };
    size_t i;
    for (i = 0; i < n; ++i) t[i] = p[i];
    return drl__vload(t);
}
#endif

DRL__RARE DRL__TARGET void DRL__FN(drl__store_rest)(float *p, size_t n, drl__v x)
{
    float t[DRL__VL];
    size_t i;
    drl__vstore(t, x);
    for (i = 0; i < n; ++i) p[i] = t[i];
}

DRL__INLINE DRL__TARGET drl__v DRL__FN(drl__load_first)(const float *p, size_t n)
{
    return n >= DRL__VL ? drl__vload(p) : DRL__FN(drl__load_rest)(p, n);
}

DRL__INLINE DRL__TARGET void DRL__FN(drl__store_first)(float *p, size_t n, drl__v x)
{
    if (n >= DRL__VL) drl__vstore(p, x);
    else DRL__FN(drl__store_rest)(p, n, x);
}
#endif

DRL__INLINE DRL__TARGET void DRL__FN(drl__vimulhl)(drl__vi a, uint32_t m, drl__vi *high, drl__vi *low)
{
#if DRL__PASS == 0
    uint64_t p = (uint64_t)a * m;
    *high = (uint32_t)(p >> 32);
    *low = (uint32_t)p;
#elif DRL__PASS == 4
    uint32x4_t p = vreinterpretq_u32_u64(vmull_u32(vget_low_u32(a), vdup_n_u32(m)));
    uint32x4_t q = vreinterpretq_u32_u64(vmull_u32(vget_high_u32(a), vdup_n_u32(m)));
    *high = vuzp2q_u32(p, q);
    *low = vuzp1q_u32(p, q);
#elif DRL__PASS == 6
    v128_t p = wasm_u64x2_extmul_low_u32x4(a, drl__viset(m));
    v128_t q = wasm_u64x2_extmul_high_u32x4(a, drl__viset(m));
    *high = wasm_i32x4_shuffle(p, q, 1, 3, 5, 7);
    *low = wasm_i32x4_shuffle(p, q, 0, 2, 4, 6);
#else
    drl__vi even = DRL__MUL64(a, drl__viset(m)), odd = DRL__MUL64(DRL__SHR32_64(a), drl__viset(m));
    drl__vi mask = DRL__LOW32_64;
    *high = drl__vixor(DRL__SHR32_64(even), drl__visub(odd, drl__viand(odd, mask)));
    *low = drl__vixor(drl__viand(even, mask), DRL__SHL32_64(odd));
#endif
}

/* Transposes a square of DRL__VL vectors. Each pass of zips moves one bit of an element's row number into its
 * column number. */
DRL__INLINE DRL__TARGET void DRL__FN(drl__transpose)(drl__v *v)
{
    int pass, i;
    for (pass = 1; pass < DRL__VL; pass *= 2) {
        drl__v t[DRL__VL];
        DRL__REPEAT(i, DRL__VL) {
            drl__v a = v[i / 2], b = v[i / 2 + DRL__VL / 2];
            t[i] = i % 2 ? drl__vzip_high(a, b) : drl__vzip_low(a, b);
        }
        DRL__REPEAT(i, DRL__VL) v[i] = t[i];
    }
}

/* --- elementary functions ------------------------------------------------------------------------------- */

/* e^x = 2^k e^r, |r| <= ln(2) / 2. x is clamped to [-87, 88], where 2^k and the result are normal numbers. */
DRL__INLINE DRL__TARGET drl__v DRL__FN(drl__vexp)(drl__v x)
{
    const drl__v big = drl__vset(12582912.0f);      /* 1.5 * 2^23: it rounds what is added to an integer */
    drl__v t, k, r, p;
    x = drl__vmin(drl__vset(88.0f), drl__vmax(drl__vset(-87.0f), x));
    t = drl__vfma(x, drl__vset(1.44269504f), big);
    k = drl__vsub(t, big);
    r = drl__vfma(k, drl__vset(-0.693145751953125f), x);
    r = drl__vfma(k, drl__vset(-1.42860682e-6f), r);
    p = drl__vfma(drl__vset(0.001392692661f), r, drl__vset(0.008363773874f));
    p = drl__vfma(p, r, drl__vset(0.04166655011f));
    p = drl__vfma(p, r, drl__vset(0.1666657338f));
    p = drl__vfma(p, r, drl__vset(0.5f));
    p = drl__vadd(drl__vfma(drl__vmul(r, r), p, r), drl__vset(1.0f));
    return drl__vmul(p, drl__vfrombits(drl__viadd(drl__vishl(drl__vbits(t), 23), drl__viset(0x3F800000u))));
}

/* log x of a normal x > 0: x = 2^e m, m in [sqrt(1/2), sqrt(2)), f = m - 1, log m = f - f^2/2 + f^3 q(f).
 * 0x3F3504F3 are the bits of sqrt(1/2). */
DRL__INLINE DRL__TARGET drl__v DRL__FN(drl__vlog)(drl__v x)
{
    drl__vi u = drl__viadd(drl__vbits(x), drl__viset(0x3F800000u - 0x3F3504F3u));
    drl__v e = drl__vifloat(drl__visub(drl__vishr(u, 23), drl__viset(127u)));
    drl__vi m = drl__viadd(drl__viand(u, drl__viset(0x7FFFFFu)), drl__viset(0x3F3504F3u));
    drl__v f = drl__vsub(drl__vfrombits(m), drl__vset(1.0f)), ff = drl__vmul(f, f), q;
    q = drl__vfma(drl__vset(-0.07902743772f), f, drl__vset(0.1262231985f));
    q = drl__vfma(q, f, drl__vset(-0.1299818376f));
    q = drl__vfma(q, f, drl__vset(0.1421449592f));
    q = drl__vfma(q, f, drl__vset(-0.1664128146f));
    q = drl__vfma(q, f, drl__vset(0.2000104509f));
    q = drl__vfma(q, f, drl__vset(-0.2500030642f));
    q = drl__vfma(q, f, drl__vset(0.3333333073f));
    q = drl__vfma(drl__vmul(ff, f), q, drl__vmul(e, drl__vset(1.42860682e-6f)));
    q = drl__vadd(drl__vfma(drl__vset(-0.5f), ff, q), f);
    return drl__vfma(e, drl__vset(0.693145751953125f), q);
}

/* --- random numbers ------------------------------------------------------------------------------------- */

/* Box-Muller: two normal numbers r cos(2 pi u2) and r sin(2 pi u2), r = sqrt(-2 log u1). u1 in (0, 1] and
 * u2 in [0, 1) are the top 24 bits of a and b. The nearest multiple of a quarter turn is subtracted from
 * the angle exactly, as an integer, before sin and cos are computed. */
DRL__INLINE DRL__TARGET void DRL__FN(drl__vnormal_pair)(drl__vi a, drl__vi b, drl__v *n0, drl__v *n1)
{
    drl__vi a24 = drl__vishr(a, 8);
    drl__v u1 = drl__vmul(drl__vifloat(drl__viadd(a24, drl__viset(1u))), drl__vset(1.0f / 16777216.0f));
    drl__v r = drl__vsqrt(drl__vmul(drl__vset(-2.0f), DRL__FN(drl__vlog)(u1)));
    drl__vi k = drl__vishr(b, 8), quarter = drl__vishr(drl__viadd(k, drl__viset(1u << 21)), 22), swap, si, ci;
    drl__vi rest = drl__visub(k, drl__vishl(quarter, 22));
    drl__v t = drl__vmul(drl__vifloat(rest), drl__vset(3.74507028e-7f));            /* 2 pi / 2^24 */
    drl__v z = drl__vmul(t, t), s, c;
    s = drl__vfma(drl__vset(-0.0001958738707f), z, drl__vset(0.008332745936f));
    s = drl__vfma(s, z, drl__vset(-0.1666666465f));
    s = drl__vfma(drl__vmul(t, z), s, t);
    c = drl__vfma(drl__vset(2.454743721e-5f), z, drl__vset(-0.00138883007f));
    c = drl__vfma(c, z, drl__vset(0.04166666465f));
    c = drl__vfma(drl__vmul(z, z), c, drl__vfma(drl__vset(-0.5f), z, drl__vset(1.0f)));
    si = drl__vbits(s);
    ci = drl__vbits(c);
    swap = drl__viand(drl__vixor(si, ci), drl__visub(drl__viset(0u), drl__viand(quarter, drl__viset(1u))));
    si = drl__vixor(si, swap);
    ci = drl__vixor(ci, swap);
    si = drl__vixor(si, drl__vishl(drl__viand(quarter, drl__viset(2u)), 30));
    ci = drl__vixor(ci, drl__vishl(drl__viand(drl__viadd(quarter, drl__viset(1u)), drl__viset(2u)), 30));
    *n0 = drl__vmul(r, drl__vfrombits(ci));
    *n1 = drl__vmul(r, drl__vfrombits(si));
}

/* The ten rounds of Philox on DRL__VL counters: c[0..3] are the four words of each counter, and become the
 * four words of its block. */
DRL__INLINE DRL__TARGET void DRL__FN(drl__blocks)(drl__vi *c, uint32_t key0, uint32_t key1)
{
    int round;
    for (round = 0; round < 10; ++round, key0 += DRL__PHILOX_W0, key1 += DRL__PHILOX_W1) {
        drl__vi h0, l0, h1, l1;
        DRL__FN(drl__vimulhl)(c[0], DRL__PHILOX_M0, &h0, &l0);
        DRL__FN(drl__vimulhl)(c[2], DRL__PHILOX_M1, &h1, &l1);
        c[0] = drl__vixor(drl__vixor(h1, c[1]), drl__viset(key0));
        c[2] = drl__vixor(drl__vixor(h0, c[3]), drl__viset(key1));
        c[1] = l1;
        c[3] = l0;
    }
}

/* out [64]: the normal numbers of blocks block .. block + 15. */
DRL__TARGET static void DRL__FN(drl__normals64)(uint64_t seed, uint64_t stream, uint64_t block, float *out)
{
    uint32_t low[16], high[16];
    float n[4][16];
    int i, j;
    for (i = 0; i < 16; ++i) {
        low[i] = (uint32_t)(block + (uint64_t)i);
        high[i] = (uint32_t)((block + (uint64_t)i) >> 32);
    }
    for (j = 0; j < 16; j += DRL__VL) {
        drl__vi c[4];
        drl__v a, b;
        c[0] = drl__viload(low + j);
        c[1] = drl__viload(high + j);
        c[2] = drl__viset((uint32_t)stream);
        c[3] = drl__viset((uint32_t)(stream >> 32));
        DRL__FN(drl__blocks)(c, (uint32_t)seed, (uint32_t)(seed >> 32));
        DRL__FN(drl__vnormal_pair)(c[0], c[1], &a, &b);
        drl__vstore(n[0] + j, a);
        drl__vstore(n[1] + j, b);
        DRL__FN(drl__vnormal_pair)(c[2], c[3], &a, &b);
        drl__vstore(n[2] + j, a);
        drl__vstore(n[3] + j, b);
    }
    for (i = 0; i < 16; ++i) for (j = 0; j < 4; ++j) out[4 * i + j] = n[j][i];
}

/* Items are the normal numbers of `out`. A job may begin and end inside a block. */
DRL__TARGET static void DRL__FN(drl__normals)(const void *arg, size_t begin, size_t end, int job)
{
    const drl__normals_args *a = (const drl__normals_args *)arg;
    uint64_t position = a->position + begin;
    float *out = a->out + begin, normals[64];
    size_t left = end - begin, skip, n;
    (void)job;
    for (; left; left -= n, out += n, position += n) {
        skip = (size_t)(position & 3);
        n = left < 64 - skip ? left : 64 - skip;
        if (n == 64) DRL__FN(drl__normals64)(a->seed, a->stream, position >> 2, out);
        else {
            DRL__FN(drl__normals64)(a->seed, a->stream, position >> 2, normals);
            memcpy(out, normals + skip, n * sizeof *out);
        }
    }
}

/* kept [16]: which of the elements 8 block .. 8 block + 127 of an image dropout keeps, one bit each. */
DRL__INLINE DRL__TARGET void DRL__FN(drl__dropout128)(const drl__dropout_args *a, size_t image, size_t block,
    uint8_t *kept)
{
    const drl__vi drop = drl__viset(a->drop);
    const uint32_t layer = (uint32_t)a->number & 2047, picture = (uint32_t)image & 0xFFFFF;
    uint32_t number[16];
    float dropped[16];
    int i, j;
    for (i = 0; i < 16; ++i) number[i] = (uint32_t)(block + (size_t)i);
    for (j = 0; j < 16; j += DRL__VL) {
        drl__vi c[4], bits = drl__viset(0), half;
        c[0] = drl__viload(number + j);
        c[1] = drl__viset((uint32_t)1 << 31 | layer << 20 | picture);
        c[2] = drl__viset((uint32_t)a->rng->stream);
        c[3] = drl__viset((uint32_t)(a->rng->stream >> 32));
        DRL__FN(drl__blocks)(c, (uint32_t)a->rng->seed, (uint32_t)(a->rng->seed >> 32));
        for (i = 3; i >= 0; --i) {      /* the last element first; an element is dropped if its half < drop */
            half = drl__vishr(c[i], 16);
            bits = drl__viadd(drl__viadd(bits, bits), drl__vishr(drl__visub(half, drop), 31));
            half = drl__viand(c[i], drl__viset(0xFFFF));
            bits = drl__viadd(drl__viadd(bits, bits), drl__vishr(drl__visub(half, drop), 31));
        }
        drl__vstore(dropped + j, drl__vifloat(bits));
    }
    for (i = 0; i < 16; ++i) kept[i] = (uint8_t)(255 - (int)dropped[i]);
}

/* Items are elements of all images. begin is a multiple of 8, so that jobs share no byte of the bits. */
DRL__TARGET static void DRL__FN(drl__dropout)(const void *arg, size_t begin, size_t end, int job)
{
    const drl__dropout_args *a = (const drl__dropout_args *)arg;
    uint8_t kept[16];
    size_t e = begin, image = begin / a->image, i = begin % a->image, n, k;
    (void)job;
    for (; e < end; e += n, i += n) {
        if (i == a->image) {
            i = 0;
            ++image;
        }
        DRL__FN(drl__dropout128)(a, a->first + image, i / 8, kept);
        n = 128 - i % 8;
        if (n > a->image - i) n = a->image - i;
        if (n > end - e) n = end - e;
        if (e % 8 == 0 && i % 8 == 0 && n % 8 == 0) {
            memcpy(a->bits + e / 8, kept, n / 8);
            continue;
        }
        for (k = 0; k < n; ++k) {
            size_t from = i % 8 + k, to = e + k;
            int bit = kept[from / 8] >> from % 8 & 1;
            if (to % 8 == 0) a->bits[to / 8] = 0;
            a->bits[to / 8] = (uint8_t)(a->bits[to / 8] | bit << to % 8);
        }
    }
}

/* --- convolution ---------------------------------------------------------------------------------------- */

/* Calls kernel(nv, ...) with nv, the number of vectors, as a constant: one copy of the kernel for each. */
#if DRL__NV == 4
#define DRL__BY_VECTORS(nv, kernel, ...) \
    switch (nv) { \
    case 1: kernel(1, __VA_ARGS__); break; \
    case 2: kernel(2, __VA_ARGS__); break; \
    case 3: kernel(3, __VA_ARGS__); break; \
    case 4: kernel(4, __VA_ARGS__); break; \
    default: break; \
    }
#else
#define DRL__BY_VECTORS(nv, kernel, ...) \
    switch (nv) { \
    case 1: kernel(1, __VA_ARGS__); break; \
    case 2: kernel(2, __VA_ARGS__); break; \
    default: break; \
    }
#endif

/* y[mr pixels][nv vectors] = start + sum over taps and channels c0 .. c1 - 1 of x[pixel, tap][c] *
 * w[tap][c][nv vectors]. px holds DRL__MR pointers per tap, of which mr are used. start and y may be the
 * same. All sums stay in registers. */
DRL__INLINE DRL__TARGET void DRL__FN(drl__conv_tile)(const int mr, const int nv, int taps, int c0, int c1,
    const float *const *px, const float *w, size_t w_tap, const float *start, size_t start_step,
    float *y, size_t y_step)
{
    drl__v acc[DRL__MR][DRL__NV], wv[DRL__NV], xi;
    int i, j, t, c;
    DRL__EACH(i, DRL__MR) DRL__EACH(j, DRL__NV)
        if (i < mr && j < nv) acc[i][j] = drl__vload(start + (size_t)i * start_step + j * DRL__VL);
    for (t = 0; t < taps; ++t, px += DRL__MR, w += w_tap) {
        const float *p[DRL__MR], *wt = w + (size_t)c0 * (size_t)(nv * DRL__VL);
        DRL__EACH(i, DRL__MR) if (i < mr) p[i] = px[i];
        for (c = c0; c < c1; ++c, wt += nv * DRL__VL) {
            DRL__EACH(j, DRL__NV) if (j < nv) wv[j] = drl__vload(wt + j * DRL__VL);
            DRL__EACH(i, DRL__MR) if (i < mr) {
                xi = drl__vset(p[i][c]);
                DRL__EACH(j, DRL__NV) if (j < nv) acc[i][j] = drl__vfma(xi, wv[j], acc[i][j]);
            }
        }
    }
    DRL__EACH(i, DRL__MR) DRL__EACH(j, DRL__NV)
        if (i < mr && j < nv) drl__vstore(y + (size_t)i * y_step + j * DRL__VL, acc[i][j]);
}

/* One block of outputs, nv vectors of which k floats are used, at `pixels` pixels. The weights are divided
 * into pieces that stay in the first-level cache while all pixels pass by; from piece to piece, the sums
 * wait in y. */
DRL__INLINE DRL__TARGET void DRL__FN(drl__conv_block)(const int nv, const drl__conv_args *a, int taps, int kc,
    int pixels, int k, const float *const *px, const float *w, const float *start, float *y)
{
    const int bw = nv * DRL__VL, room = DRL__MAX_WEIGHTS / bw;
    int tap_step = room / kc, c_step = kc, t, c, p, i, j;
    size_t w_tap = (size_t)kc * (size_t)bw, y_step = (size_t)a->k, start_step = a->start_step;
    if (tap_step < 1) {
        int pieces = (kc + room - 1) / room;
        tap_step = 1;
        c_step = (kc + pieces - 1) / pieces;
    }
    for (t = 0; t < taps; t += tap_step) {
        int tn = taps - t < tap_step ? taps - t : tap_step;
        for (c = 0; c < kc; c += c_step) {
            int c1 = kc - c < c_step ? kc : c + c_step;
            for (p = 0; p < pixels; p += DRL__MR) {
                const float *const *tile_px = px + (size_t)p * (size_t)taps + (size_t)(t * DRL__MR);
                const float *tile_start = start + (size_t)p * start_step, *tile_w = w + (size_t)t * w_tap;
                const float *from = tile_start;
                float *tile_y = y + (size_t)p * y_step, *to = tile_y, copy[DRL__MR * DRL__NV * DRL__VL];
                size_t from_step = start_step, to_step = y_step;
                int rows = pixels - p < DRL__MR ? pixels - p : DRL__MR, edge = k != bw || rows < DRL__MR;
                if (rows == DRL__MR / 2 && k == bw) {   /* often the rest of a few Winograd tiles */
                    DRL__FN(drl__conv_tile)(DRL__MR / 2, nv, tn, c, c1, tile_px, tile_w, w_tap,
                        from, from_step, to, to_step);
                    continue;
                }
                if (edge) {                             /* a full tile, on a copy */
                    memset(copy, 0, sizeof copy);
                    for (i = 0; i < rows; ++i) for (j = 0; j < k; ++j)
                        copy[i * bw + j] = tile_start[(size_t)i * start_step + (size_t)j];
                    from = to = copy;
                    from_step = to_step = (size_t)bw;
                }
                DRL__FN(drl__conv_tile)(DRL__MR, nv, tn, c, c1, tile_px, tile_w, w_tap,
                    from, from_step, to, to_step);
                if (edge) for (i = 0; i < rows; ++i) for (j = 0; j < k; ++j)
                    tile_y[(size_t)i * y_step + (size_t)j] = copy[i * bw + j];
            }
            start = y;
            start_step = y_step;
        }
    }
}

/* drl__conv_block for any k up to a full block. Not inline: two kernels share the code. */
DRL__TARGET static void DRL__FN(drl__conv_blocks)(const drl__conv_args *a, int taps, int kc, int pixels,
    int k, const float *const *px, const float *w, const float *start, float *y)
{
    const int nv = (k + DRL__VL - 1) / DRL__VL;
    DRL__BY_VECTORS(nv, DRL__FN(drl__conv_block), a, taps, kc, pixels, k, px, w, start, y)
}

/* px[tile][tap][row of the tile]: the channels that a tap sees at a pixel; a->zeros outside of the image. */
DRL__TARGET static void DRL__FN(drl__conv_pointers)(const drl__conv_args *a, size_t first, int count,
    const float **px)
{
    int h = a->h, w = a->w, half = a->side / 2, taps = a->side * a->side, q, r, s;
    int j = (int)(first % (size_t)w), i = (int)(first / (size_t)w % (size_t)h);
    for (q = 0; q < (count + DRL__MR - 1) / DRL__MR * DRL__MR; ++q) {
        const float **out = px + (size_t)(q / DRL__MR * DRL__MR * taps + q % DRL__MR);
        const float *x = a->x + (first + (size_t)q) * (size_t)a->c;
        for (r = -half; r <= half; ++r) for (s = -half; s <= half; ++s, out += DRL__MR) {
            int inside = q < count && i + r >= 0 && i + r < h && j + s >= 0 && j + s < w;
            *out = inside ? x + ((ptrdiff_t)r * w + s) * a->c : a->zeros;
        }
        if (++j == w) {
            j = 0;
            if (++i == h) i = 0;
        }
    }
}

/* Input gradient of few input channels: y[pixel][k] = start + sum over taps and c of x[pixel, tap][c] *
 * packed[k][tap][c]. Partial sum l takes channels l, l + 16, ... of all taps; then halves are added to
 * halves. Items are pixels, four at a time. */
DRL__TARGET static void DRL__FN(drl__into_few_channels)(const void *arg, size_t begin, size_t end, int job)
{
    const drl__conv_args *a = (const drl__conv_args *)arg;
    const size_t parts = DRL__LANES / DRL__VL;
    size_t c = (size_t)a->c, width = (c + DRL__LANES - 1) / DRL__LANES * DRL__LANES, p, e;
    const float *tap[4][9];
    float sums[4][DRL__LANES];
    int h = a->h, w = a->w, k, q, t, r, s;
    int j = (int)(begin % (size_t)w), i = (int)(begin / (size_t)w % (size_t)h);
    (void)job;
    for (p = begin; p < end; p += 4) {
        int count = end - p < 4 ? (int)(end - p) : 4;
        int all_inside = count == 4 && i > 0 && i + 1 < h && j > 0 && j + 4 < w;
        for (q = 0; q < 4; ++q) {
            const float *at = a->x + c * (q < count ? p + (size_t)q : p);
            for (r = -1, t = 0; r <= 1; ++r) for (s = -1; s <= 1; ++s, ++t) {
                int inside = all_inside || (q < count && i + r >= 0 && i + r < h && j + s >= 0 && j + s < w);
                tap[q][t] = inside ? at + (ptrdiff_t)c * ((ptrdiff_t)r * w + s) : a->zeros;
            }
            if (q < count && ++j == w) {
                j = 0;
                if (++i == h) i = 0;
            }
        }
        for (k = 0; k < a->k; ++k) {
            const float *weights = a->packed + (size_t)(9 * k) * width;
            drl__v acc[4][DRL__LANES / DRL__VL], x;
            size_t v;
            DRL__EACH(q, 4) DRL__REPEAT(v, parts) acc[q][v] = drl__vset(0.0f);
            for (t = 0; t < 9; ++t, weights += width)
            for (e = 0; e < c; e += DRL__LANES) DRL__REPEAT(v, parts) {
                size_t from = e + v * DRL__VL;
                drl__v weight = drl__vload(weights + from);
                if (from + DRL__VL <= c) DRL__EACH(q, 4) {
                    x = drl__vload(tap[q][t] + from);
                    acc[q][v] = drl__vfma(x, weight, acc[q][v]);
                }
                else if (from < c) DRL__EACH(q, 4) {
                    x = drl__vload_n(tap[q][t] + from, c - from);
                    acc[q][v] = drl__vfma(x, weight, acc[q][v]);
                }
            }
            DRL__EACH(q, 4) DRL__REPEAT(v, parts) drl__vstore(sums[q] + v * DRL__VL, acc[q][v]);
            for (q = 0; q < count; ++q) {
                float *sum = sums[q], *y = a->y + (p + (size_t)q) * (size_t)a->k + k;
                for (t = 0; t < 8; ++t) sum[t] = sum[t] + sum[t + 8];
                for (t = 0; t < 4; ++t) sum[t] = sum[t] + sum[t + 4];
                for (t = 0; t < 2; ++t) sum[t] = sum[t] + sum[t + 2];
                *y = sum[0] + sum[1] + a->start[(p + (size_t)q) * a->start_step + (size_t)k];
            }
        }
    }
}

/* px[tile][row of three taps][row of the tile], from few channels: `rows` are those of drl__pad_rows, in
 * which the three taps of a row lie side by side. */
DRL__TARGET static void DRL__FN(drl__conv_pointers_joined)(const drl__conv_args *a, size_t first, int count,
    const float *rows, const float **px)
{
    int c = a->c, w = a->w, j = (int)(first % (size_t)w), left = count, tile = 0, n, q;
    for (; left > 0; left -= n, j = 0) {
        int length;
        n = left < w - j ? left : w - j;
        length = (n + 2) * c;
        for (q = 0; q < n; ++q, rows += c, ++px) {
            px[0] = rows;
            px[DRL__MR] = rows + length;
            px[2 * DRL__MR] = rows + 2 * length;
            if (++tile == DRL__MR) {
                tile = 0;
                px += 2 * DRL__MR;
            }
        }
        rows += 2 * c + 2 * length;
    }
    for (; tile && tile < DRL__MR; ++tile, ++px) px[0] = px[DRL__MR] = px[2 * DRL__MR] = a->zeros;
}

/* Items are [chunk of pixels][block of outputs]. */
DRL__TARGET static void DRL__FN(drl__conv)(const void *arg, size_t begin, size_t end, int job)
{
    const drl__conv_args *a = (const drl__conv_args *)arg;
    const float *px[DRL__CHUNK * 9];
    const int full = DRL__NV * DRL__VL;
    int taps = a->joined_taps ? 3 : a->side * a->side, kc = a->joined_taps ? 3 * a->c : a->c, count = 0;
    size_t blocks = (size_t)((a->k + full - 1) / full), item, prepared = SIZE_MAX;
    for (item = begin; item < end; ++item) {
        size_t first = item / blocks * DRL__CHUNK, k0 = item % blocks * (size_t)full;
        int k = a->k - (int)k0 < full ? a->k - (int)k0 : full;
        const float *w = a->packed + k0 * (size_t)taps * (size_t)kc;
        const float *start = a->start + first * a->start_step + k0;
        float *y = a->y + first * (size_t)a->k + k0;
        if (first != prepared) {
            prepared = first;
            count = a->pixels - first < DRL__CHUNK ? (int)(a->pixels - first) : DRL__CHUNK;
            if (a->joined_taps) {
                float *rows = a->scratch + (size_t)job * a->scratch_each;
                drl__pad_rows(a, first, count, rows);
                DRL__FN(drl__conv_pointers_joined)(a, first, count, rows, px);
            }
            else DRL__FN(drl__conv_pointers)(a, first, count, px);
        }
        DRL__FN(drl__conv_blocks)(a, taps, kc, count, k, px, w, start, y);
    }
}

/* acc[MR][nv vectors] += sum over n pixels of x[MR values] * dy[nv vectors]. p points to the values of the
 * first pixel; those of the next pixel are `step` floats on. */
DRL__INLINE DRL__TARGET void DRL__FN(drl__dw_row)(const int nv, const float *const *p, size_t step,
    const float *dy, int n, drl__v acc[DRL__MR][DRL__NV])
{
    drl__v dv[DRL__NV], xi;
    size_t at = 0;
    int i, j;
    for (; n > 0; --n, at += step, dy += nv * DRL__VL) {
        DRL__EACH(j, DRL__NV) if (j < nv) dv[j] = drl__vload(dy + j * DRL__VL);
        DRL__EACH(i, DRL__MR) {
            xi = drl__vset(p[i][at]);
            DRL__EACH(j, DRL__NV) if (j < nv) acc[i][j] = drl__vfma(xi, dv[j], acc[i][j]);
        }
    }
}

/* out[MR channels from c0 on][nv vectors] += sum over `count` pixels of x[pixel + tap][channel] *
 * dy[pixel][nv vectors]. x is the chunk's first pixel, in row i0 and column j0 of its image; the tap looks
 * dr rows and ds columns further. dy is packed. With few channels, x are the rows of drl__pad_rows, and the
 * channels of all taps are counted through. The first `skip` channels are not stored. */
DRL__INLINE DRL__TARGET void DRL__FN(drl__dw_tile)(const int nv, const drl__conv_args *a, const float *x,
    const float *dy, int count, int i0, int j0, int flat, int c0, int dr, int ds, int skip, float *out)
{
    drl__v acc[DRL__MR][DRL__NV];
    const float *p[DRL__MR];
    int i, j, n, w = flat ? count : a->w, c = a->c, row[DRL__MR], rest[DRL__MR];
    DRL__EACH(i, DRL__MR) {         /* few channels: past the last one are values that are not stored */
        int of = c0 + i < a->side * a->side * c ? c0 + i : 0;
        row[i] = of / (a->side * c);
        rest[i] = of % (a->side * c);
    }
    DRL__EACH(i, DRL__MR) DRL__EACH(j, DRL__NV) if (j < nv) acc[i][j] = drl__vset(0.0f);
    for (; count > 0; count -= n, j0 = 0, i0 = i0 + 1 == a->h ? 0 : i0 + 1, dy += n * nv * DRL__VL) {
        int from = 0, inside;
        n = count < w - j0 ? count : w - j0;
        inside = n;
        if (a->joined_taps) {
            int length = (n + a->side - 1) * c;
            DRL__EACH(i, DRL__MR) p[i] = x + row[i] * length + rest[i];
            x += a->side * length;
        } else {
            from = ds < 0 ? 1 : 0;
            inside = flat || (i0 + dr >= 0 && i0 + dr < a->h) ? n - (ds ? 1 : 0) : 0;
            DRL__EACH(i, DRL__MR) p[i] = x + (inside ? ((ptrdiff_t)dr * w + from + ds) * c + c0 + i : 0);
            x += (ptrdiff_t)n * c;
        }
        DRL__FN(drl__dw_row)(nv, p, (size_t)c, dy + from * nv * DRL__VL, inside, acc);
    }
    DRL__EACH(i, DRL__MR) if (i >= skip) DRL__EACH(j, DRL__NV) if (j < nv) {
        float *o = out + i * nv * DRL__VL + j * DRL__VL;
        drl__vstore(o, drl__vadd(drl__vload(o), acc[i][j]));
    }
}

/* Parameter gradient, added to a->y in the order of packed weights. Items are [block of outputs][tap][group
 * of MR input channels]; the last group ends at the last channel and overlaps the one before. Each sum is
 * one chain per chunk of pixels, and the chunks' sums are added in order. */
DRL__TARGET static void DRL__FN(drl__conv_dw)(const void *arg, size_t begin, size_t end, int job)
{
    const drl__conv_args *a = (const drl__conv_args *)arg;
    const int full = DRL__NV * DRL__VL, flat = !a->joined_taps && a->side == 1;
    int taps = a->joined_taps ? 1 : a->side * a->side, side = a->joined_taps ? 1 : a->side;
    int c = a->joined_taps ? a->joined_taps : a->c;
    int groups = (c + DRL__MR - 1) / DRL__MR, count, i, j;
    int chunk = drl__dw_chunk(a->w, a->joined_taps || a->side == 1);
    size_t per_block = (size_t)taps * (size_t)groups, first, b, item;
    float *dys = a->scratch + (size_t)job * a->scratch_each, *rows = dys + (size_t)chunk * (size_t)full;
    for (first = 0; first < a->pixels; first += (size_t)chunk) {
        const float *x = a->x + first * (size_t)a->c;
        int i0 = (int)(first / (size_t)a->w % (size_t)a->h), j0 = flat ? 0 : (int)(first % (size_t)a->w);
        size_t next = first + (size_t)chunk < a->pixels ? first + (size_t)chunk : a->pixels;
        size_t left = a->pixels - next < (size_t)chunk ? a->pixels - next : (size_t)chunk;
        count = (int)(next - first);            /* meanwhile, the next chunk's cache lines are asked for */
        if (a->joined_taps) {
            drl__pad_rows(a, first, count, rows);
            x = rows;
        }
        for (b = begin / per_block; b * per_block < end; ++b) {
            size_t k0 = b * (size_t)full, last = (b + 1) * per_block < end ? (b + 1) * per_block : end;
            int k = a->k - (int)k0 < full ? a->k - (int)k0 : full;
            int nv = (k + DRL__VL - 1) / DRL__VL, bw = nv * DRL__VL;
            const float *dy = a->dy + first * (size_t)a->k;
            if (bw != a->k) {                   /* this block of dy, packed */
                for (i = 0; i < count; ++i) {
                    const float *from = dy + (size_t)i * (size_t)a->k + k0;
                    float *to = dys + i * bw;
                    for (j = 0; j + DRL__VL <= k; j += DRL__VL) drl__vstore(to + j, drl__vload(from + j));
                    if (j < k) drl__vstore(to + j, drl__vload_n(from + j, (size_t)(k - j)));
                }
                dy = dys;
            }
            for (item = b * per_block < begin ? begin : b * per_block; item < last; ++item) {
                int in_block = (int)(item - b * per_block), tap = in_block / groups;
                int c0 = in_block % groups * DRL__MR, skip = 0;
                int dr = tap / side - side / 2, ds = tap % side - side / 2;
                float *out;
                drl__fetch_part(a->x + next * (size_t)a->c, left * (size_t)a->c, item - begin, end - begin);
                drl__fetch_part(a->dy + next * (size_t)a->k, left * (size_t)a->k, item - begin, end - begin);
                if (c0 + DRL__MR > c) {
                    skip = c0 + DRL__MR - c;
                    c0 -= skip;
                }
                out = a->y + k0 * (size_t)taps * (size_t)c;
                out += ((size_t)tap * (size_t)c + (size_t)c0) * (size_t)bw;
                DRL__BY_VECTORS(nv, DRL__FN(drl__dw_tile), a, x, dy, count, i0, j0, flat, c0, dr, ds,
                    skip, out)
            }
        }
    }
}

/* --- convolution by Winograd's algorithm ---------------------------------------------------------------- */

/* F(4x4, 3x3) by interpolation at 0, +-a, +-b and infinity: y = A'[(G g G') . (B' d B)] A, [Lavin15]; g are
 * the weights, d the inputs, . multiplies element by element. a = 5/8 and b = 3/2 are exact and have less
 * than half the rounding error of the usual 1 and 2. */
#define DRL__WA  0.625f
#define DRL__WB  1.5f
#define DRL__WA2 0.390625f
#define DRL__WB2 2.25f
#define DRL__WA3 0.244140625f
#define DRL__WB3 3.375f
#define DRL__WN0 (1.0f / (DRL__WA2 * DRL__WB2))
#define DRL__WNA (0.5f / (DRL__WA2 * (DRL__WA2 - DRL__WB2)))
#define DRL__WNB (0.5f / (DRL__WB2 * (DRL__WB2 - DRL__WA2)))

/* v = B' d: from six values, `from` vectors apart, to six, `to` vectors apart. */
DRL__INLINE DRL__TARGET void DRL__FN(drl__winograd_in)(const drl__v *d, const int from, drl__v *v,
    const int to)
{
    const drl__v a = drl__vset(DRL__WA), ma = drl__vset(-DRL__WA);
    const drl__v b = drl__vset(DRL__WB), mb = drl__vset(-DRL__WB);
    const drl__v ma2 = drl__vset(-DRL__WA2), mb2 = drl__vset(-DRL__WB2);
    const drl__v sum = drl__vset(-(DRL__WA2 + DRL__WB2)), product = drl__vset(DRL__WA2 * DRL__WB2);
    drl__v d1 = d[from], d2 = d[2 * from], d3 = d[3 * from], d4 = d[4 * from], even, odd;
    v[0] = drl__vfma(product, d[0], drl__vfma(sum, d2, d4));
    even = drl__vfma(mb2, d2, d4);
    odd = drl__vfma(mb2, d1, d3);
    v[to] = drl__vfma(a, odd, even);
    v[2 * to] = drl__vfma(ma, odd, even);
    even = drl__vfma(ma2, d2, d4);
    odd = drl__vfma(ma2, d1, d3);
    v[3 * to] = drl__vfma(b, odd, even);
    v[4 * to] = drl__vfma(mb, odd, even);
    v[5 * to] = drl__vfma(product, d1, drl__vfma(sum, d3, d[5 * from]));
}

/* y = A' m: from six values to four. */
DRL__INLINE DRL__TARGET void DRL__FN(drl__winograd_out)(const drl__v *m, const int from, drl__v *y,
    const int to)
{
    const drl__v a = drl__vset(DRL__WA), a2 = drl__vset(DRL__WA2), a3 = drl__vset(DRL__WA3);
    const drl__v b = drl__vset(DRL__WB), b2 = drl__vset(DRL__WB2), b3 = drl__vset(DRL__WB3);
    drl__v sa = drl__vadd(m[from], m[2 * from]), da = drl__vsub(m[from], m[2 * from]);
    drl__v sb = drl__vadd(m[3 * from], m[4 * from]), db = drl__vsub(m[3 * from], m[4 * from]);
    y[0] = drl__vadd(drl__vadd(m[0], sa), sb);
    y[to] = drl__vfma(a, da, drl__vmul(b, db));
    y[2 * to] = drl__vfma(a2, sa, drl__vmul(b2, sb));
    y[3 * to] = drl__vfma(a3, da, drl__vfma(b3, db, m[5 * from]));
}

/* u = G g: from three values to six. */
DRL__INLINE DRL__TARGET void DRL__FN(drl__winograd_weights)(const drl__v *g, const int from, drl__v *u,
    const int to)
{
    const drl__v a = drl__vset(DRL__WA), ma = drl__vset(-DRL__WA), a2 = drl__vset(DRL__WA2);
    const drl__v b = drl__vset(DRL__WB), mb = drl__vset(-DRL__WB), b2 = drl__vset(DRL__WB2);
    const drl__v n0 = drl__vset(DRL__WN0), na = drl__vset(DRL__WNA), nb = drl__vset(DRL__WNB);
    drl__v even = drl__vfma(a2, g[2 * from], g[0]);
    u[0] = drl__vmul(n0, g[0]);
    u[to] = drl__vmul(na, drl__vfma(a, g[from], even));
    u[2 * to] = drl__vmul(na, drl__vfma(ma, g[from], even));
    even = drl__vfma(b2, g[2 * from], g[0]);
    u[3 * to] = drl__vmul(nb, drl__vfma(b, g[from], even));
    u[4 * to] = drl__vmul(nb, drl__vfma(mb, g[from], even));
    u[5 * to] = g[2 * from];
}

/* g[input][tap][VL outputs]: weights of the n <= DRL__LANES inputs from i on and of the vector of outputs
 * from o on, zeros past the last output. */
DRL__INLINE DRL__TARGET void DRL__FN(drl__winograd_gather)(const drl__winograd_pack_args *a, size_t i,
    size_t n, size_t o, float *g)
{
    size_t channels = (size_t)a->channels, step = a->transposed ? 9 : 9 * channels;
    size_t rows = a->transposed ? n : 1, length = a->transposed ? 9 : 9 * n, e, r, l;
    drl__v v[DRL__VL];
    for (r = 0; r < rows; ++r) {
        const float *from = a->from + (a->transposed ? ((i + r) * channels + o) * 9 : (o * channels + i) * 9);
        for (e = 0; e < length; e += DRL__VL) {
            for (l = 0; l < DRL__VL; ++l) {
                int inside = o + l < (size_t)a->out;
                v[l] = inside ? drl__vload_n(from + l * step + e, length - e) : drl__vset(0.0f);
            }
            DRL__FN(drl__transpose)(v);
            for (l = 0; l < DRL__VL && e + l < length; ++l) {
                size_t at = a->transposed ? 9 * r + 8 - (e + l) : e + l;    /* a gradient: taps in reverse */
                drl__vstore(g + at * DRL__VL, v[l]);
            }
        }
    }
}

/* G g G' of one input: nine vectors of weights to 36 planes, `step` floats apart. */
DRL__INLINE DRL__TARGET void DRL__FN(drl__winograd_transform)(const float *from, drl__v scale, float *to,
    size_t step)
{
    drl__v g[9], half[18], row[6];
    int t, r;
    DRL__REPEAT(t, 9) g[t] = drl__vmul(scale, drl__vload(from + t * DRL__VL));
    DRL__REPEAT(t, 3) DRL__FN(drl__winograd_weights)(g + t, 3, half + t, 3);
    DRL__REPEAT(r, 6) {
        DRL__FN(drl__winograd_weights)(half + 3 * r, 1, row, 1);
        DRL__REPEAT(t, 6) drl__vstore(to + (size_t)(6 * r + t) * step, row[t]);
    }
}

/* Items are inputs of the pass. */
DRL__TARGET static void DRL__FN(drl__winograd_pack)(const void *arg, size_t begin, size_t end, int job)
{
    const drl__winograd_pack_args *a = (const drl__winograd_pack_args *)arg;
    const size_t full = DRL__NV * DRL__VL;
    size_t in = (size_t)a->in, out = (size_t)a->out, i, o, n, e;
    size_t width = (out + DRL__VL - 1) / DRL__VL * DRL__VL;
    float g[DRL__LANES * 9 * DRL__VL];
    (void)job;
    for (i = begin; i < end; i += n) {
        n = end - i < DRL__LANES ? end - i : DRL__LANES;
        for (o = 0; o < width; o += DRL__VL) {
            size_t block = o / full * full, bw = width - block < full ? width - block : full;
            float *to = a->to + block * in + (o - block);
            DRL__FN(drl__winograd_gather)(a, i, n, o, g);
            for (e = 0; e < n; ++e) {
                const float *taps = g + e * 9 * DRL__VL;
                DRL__FN(drl__winograd_transform)(taps, drl__vset(a->scale), to + (i + e) * bw, in * width);
            }
        }
    }
}

/* to[plane][input][bw]: transformed weights of a layer that does not pack them, n inputs from c0 on and bw
 * outputs from k0 on. A plane is a cache line longer than its weights, so that planes do not compete for
 * places in the cache. */
DRL__INLINE DRL__TARGET void DRL__FN(drl__winograd_block)(const drl__winograd_args *a, size_t c0, size_t n,
    size_t k0, size_t bw, float *to)
{
    drl__winograd_pack_args w;
    float g[DRL__LANES * 9 * DRL__VL];
    size_t i, o, e, m;
    w.from = a->packed;
    w.to = to;
    w.scale = a->fused.scale;
    w.out = a->k;
    w.in = a->c;
    w.transposed = a->transposed;
    w.channels = a->transposed ? a->k : a->c;
    for (o = 0; o < bw; o += DRL__VL) for (i = 0; i < n; i += m) {
        m = n - i < DRL__LANES ? n - i : DRL__LANES;
        DRL__FN(drl__winograd_gather)(&w, c0 + i, m, k0 + o, g);
        for (e = 0; e < m; ++e) {
            const float *taps = g + e * 9 * DRL__VL;
            float *plane = to + (i + e) * bw + o;
            DRL__FN(drl__winograd_transform)(taps, drl__vset(w.scale), plane, n * bw + DRL__LANES);
        }
    }
}

/* The image of a tile, and the row and the column of its first result. */
DRL__INLINE DRL__TARGET size_t DRL__FN(drl__winograd_tile)(const drl__winograd_args *a, size_t tile,
    int *row, int *column)
{
    int across = (a->w + 3) / 4, down = (a->h + 3) / 4;
    *column = (int)(tile % (size_t)across) * 4;
    *row = (int)(tile / (size_t)across % (size_t)down) * 4;
    return tile / (size_t)(across * down);
}

/* B' d B of one tile's inputs: rows [begin, end) of its 6 x 6 planes, v_step floats apart. */
DRL__INLINE DRL__TARGET void DRL__FN(drl__winograd_load)(const drl__winograd_args *a, size_t tile,
    size_t begin, size_t end, float *to, size_t v_step)
{
    int h = a->h, w = a->w, row, column, i, j;
    size_t c = (size_t)a->c, image = DRL__FN(drl__winograd_tile)(a, tile, &row, &column), e, r;
    ptrdiff_t step[6];
    const float *f[6], *gain_in = a->transposed ? a->fused.gain : NULL;
    int j0 = column ? 0 : 1, j1 = w - column + 1 < 6 ? w - column + 1 : 6;     /* columns inside the image */
    for (i = 0; i < 6; ++i) {
        int y = row + i - 1, inside = y >= 0 && y < h;
        size_t pixel = (image * (size_t)h + (size_t)y) * (size_t)w + (size_t)column;
        f[i] = inside ? a->x + pixel * c : a->zeros;
        step[i] = inside ? (ptrdiff_t)c : 0;
    }
    for (e = 0; e < c; e += DRL__VL) {
        drl__v d[36], line[6];
        size_t n = c - e;
        const drl__v gain = gain_in ? drl__vload_n(gain_in + e, n) : drl__vset(1.0f);
        for (j = 0; j < 6; ++j) {
            if (j < j0 || j >= j1) DRL__REPEAT(i, 6) line[i] = drl__vset(0.0f);
            else if (n >= DRL__VL) DRL__REPEAT(i, 6) line[i] = drl__vload(f[i] + (j - 1) * step[i] + e);
            else DRL__REPEAT(i, 6) line[i] = drl__vload_n(f[i] + (j - 1) * step[i] + e, n);
            if (gain_in) DRL__REPEAT(i, 6) line[i] = drl__vmul(line[i], gain);
            DRL__FN(drl__winograd_in)(line, 1, d + j, 6);
        }
        for (r = begin; r < end; ++r) {
            float *plane = to + 6 * r * v_step + e;
            DRL__FN(drl__winograd_in)(d + 6 * r, 1, line, 1);
            if (n >= DRL__VL) DRL__REPEAT(j, 6) drl__vstore(plane + (size_t)j * v_step, line[j]);
            else DRL__REPEAT(j, 6) drl__vstore_n(plane + (size_t)j * v_step, n, line[j]);
        }
    }
}

/* The signs of the vector from element `at` on. */
DRL__INLINE DRL__TARGET unsigned DRL__FN(drl__signs)(const uint8_t *bits, size_t at)
{
    unsigned lanes = bits[at / 8];
    if (DRL__VL > 8) lanes |= (unsigned)bits[at / 8 + 1] << 8;
    return lanes >> at % 8;
}

/* A byte is overwritten with its first lanes, which must be stored before its others. */
DRL__INLINE DRL__TARGET void DRL__FN(drl__signs_store)(uint8_t *bits, size_t at, unsigned lanes)
{
    if (at % 8) bits[at / 8] = (uint8_t)(bits[at / 8] | lanes << at % 8);
    else bits[at / 8] = (uint8_t)(lanes & 255);
    if (DRL__VL > 8) bits[at / 8 + 1] = (uint8_t)(lanes >> 8);
}

/* Results of one row of a tile: up to four neighbouring pixels, n channels of each, from element `at` of y
 * on. The operators that drl__fused names are applied on the way. */
DRL__INLINE DRL__TARGET void DRL__FN(drl__winograd_store)(const drl__winograd_args *a, size_t at,
    int across, size_t n, drl__v bias, drl__v shift, drl__v *v)
{
    const drl__fused *f = &a->fused;
    const drl__v zero = drl__vset(0.0f), one = drl__vset(1.0f);
    const drl__v slope = drl__vset(f->act == DRL_ACT_RELU ? 0.0f : 0.2f);
    size_t k = (size_t)a->k;
    drl__v add[4];
    int j;
    DRL__REPEAT(j, 4) add[j] = zero;
    if (f->add) DRL__REPEAT(j, 4) if (j < across) add[j] = drl__vload_n(f->add + at + (size_t)j * k, n);
    if (a->transposed) {
        DRL__REPEAT(j, 4) if (j < across) {
            drl__v factor = one;
            if (f->bits) factor = drl__vpick(DRL__FN(drl__signs)(f->bits, at + (size_t)j * k), one, slope);
            v[j] = drl__vfma(v[j], factor, add[j]);
        }
    } else {                        /* rounded as the operators round one after the other */
        DRL__REPEAT(j, 4) v[j] = drl__vadd(drl__vadd(v[j], bias), shift);
        if (f->gain) {
            const drl__v gain = drl__vload_n(f->gain + at % k, n);
            DRL__REPEAT(j, 4) v[j] = drl__vfma(v[j], gain, zero);
        }
        DRL__REPEAT(j, 4) v[j] = drl__vadd(v[j], add[j]);
        if (f->act) DRL__REPEAT(j, 4) if (j < across) {
            if (f->bits_out) DRL__FN(drl__signs_store)(f->bits_out, at + (size_t)j * k, drl__vpositive(v[j]));
            v[j] = drl__vmax(f->act == DRL_ACT_RELU ? zero : drl__vmul(slope, v[j]), v[j]);
        }
    }
    DRL__REPEAT(j, 4) if (j < across) drl__vstore_n(a->y + at + (size_t)j * k, n, v[j]);
}

/* From m[plane][tile][n] to the results of `count` tiles from `first` on: outputs k0 to k0 + n - 1. */
DRL__TARGET static void DRL__FN(drl__winograd_results)(const drl__winograd_args *a, size_t first,
    size_t count, size_t k0, size_t n, const float *m, size_t m_step)
{
    const int h = a->h, w = a->w;
    const size_t k = (size_t)a->k, shift_step = a->fused.shift ? k : 0;
    const float *shift = a->fused.shift ? a->fused.shift : a->zeros;
    size_t t, e;
    int i, j, row, column;
    for (t = 0; t < count; ++t) {
        size_t image = DRL__FN(drl__winograd_tile)(a, first + t, &row, &column);
        size_t pixel = (image * (size_t)h + (size_t)row) * (size_t)w + (size_t)column;
        int down = h - row < 4 ? h - row : 4, across = w - column < 4 ? w - column : 4;
        for (e = 0; e < n; e += DRL__VL) {
            drl__v half[24], line[6];
            const float *from = m + t * n + e;
            size_t o = k0 + e, left = k - o;
            const drl__v bias = drl__vload_n(a->bias + o, left);
            const drl__v image_shift = drl__vload_n(shift + image * shift_step + o, left);
            for (j = 0; j < 6; ++j) {
                DRL__REPEAT(i, 6) line[i] = drl__vload(from + (size_t)(6 * i + j) * m_step);
                DRL__FN(drl__winograd_out)(line, 1, half + j, 6);
            }
            for (i = 0; i < down; ++i) {
                size_t at = (pixel + (size_t)i * (size_t)w) * k + o;
                DRL__FN(drl__winograd_out)(half + 6 * i, 1, line, 1);
                DRL__FN(drl__winograd_store)(a, at, across, left, bias, image_shift, line);
            }
        }
    }
}

/* Items are chunks of tiles. Their inputs are transformed to v[plane][tile][c]. Then, for one block of
 * outputs after the other, a matrix product per plane gives m[plane][tile][block], which is transformed to
 * results. Weights that are not packed are transformed DRL__DEPTH inputs at a time; m then holds the sums
 * over the inputs so far. */
DRL__TARGET static void DRL__FN(drl__winograd)(const void *arg, size_t begin, size_t end, int job)
{
    const drl__winograd_args *a = (const drl__winograd_args *)arg;
    const int full = DRL__NV * DRL__VL, part = DRL__MR / 2;
    int kp = (a->k + DRL__VL - 1) / DRL__VL * DRL__VL, i, k0, plane;
    size_t c = (size_t)a->c, c0, item;
    size_t depth = a->unpacked && c > DRL__DEPTH ? DRL__DEPTH : c, chunk = (size_t)a->chunk;
    size_t v_step = chunk * c + DRL__LANES, m_step = chunk * (size_t)full + DRL__LANES;
    float *v = a->scratch + (size_t)job * a->scratch_each, *m = v + 36 * v_step, *u = m + 36 * m_step;
    const float *px[DRL__CHUNK];
    drl__conv_args product;
    memset(&product, 0, sizeof product);
    for (item = begin; item < end; ++item) {
        size_t first = item * chunk, count = a->tiles - first < chunk ? a->tiles - first : chunk, t;
        const int rows = (int)(count + (size_t)part - 1) / part * part;
        for (t = 0; t < count; ++t) DRL__FN(drl__winograd_load)(a, first + t, 0, 6, v + t * c, v_step);
        for (k0 = 0; k0 < kp; k0 += full) {
            int n = kp - k0 < full ? kp - k0 : full;
            product.k = n;
            for (c0 = 0; c0 < c; c0 += depth) {
                size_t cn = c - c0 < depth ? c - c0 : depth;
                product.start_step = c0 ? (size_t)n : 0;
                if (a->unpacked) DRL__FN(drl__winograd_block)(a, c0, cn, (size_t)k0, (size_t)n, u);
                for (plane = 0; plane < 36; ++plane) {
                    const float *weights = a->unpacked ? u + (size_t)plane * (cn * (size_t)n + DRL__LANES)
                        : a->packed + ((size_t)plane * (size_t)kp + (size_t)k0) * c;
                    const float *inputs = v + (size_t)plane * v_step + c0;
                    float *out = m + (size_t)plane * m_step;
                    const float *start = c0 ? out : a->zeros;
                    for (i = 0; i < rows; ++i) px[i] = (size_t)i < count ? inputs + (size_t)i * c : a->zeros;
                    DRL__FN(drl__conv_blocks)(&product, 1, (int)cn, rows, n, px, weights, start, out);
                }
            }
            DRL__FN(drl__winograd_results)(a, first, count, (size_t)k0, (size_t)n, m, m_step);
        }
    }
}

/* u = A y: from four values to six, the transpose of drl__winograd_out. */
DRL__INLINE DRL__TARGET void DRL__FN(drl__winograd_out_grad)(const drl__v *y, const int from, drl__v *u,
    const int to)
{
    const drl__v a = drl__vset(DRL__WA), ma = drl__vset(-DRL__WA), a2 = drl__vset(DRL__WA2);
    const drl__v b = drl__vset(DRL__WB), mb = drl__vset(-DRL__WB), b2 = drl__vset(DRL__WB2);
    drl__v even = drl__vfma(a2, y[2 * from], y[0]), odd = drl__vfma(a2, y[3 * from], y[from]);
    u[0] = y[0];
    u[to] = drl__vfma(a, odd, even);
    u[2 * to] = drl__vfma(ma, odd, even);
    even = drl__vfma(b2, y[2 * from], y[0]);
    odd = drl__vfma(b2, y[3 * from], y[from]);
    u[3 * to] = drl__vfma(b, odd, even);
    u[4 * to] = drl__vfma(mb, odd, even);
    u[5 * to] = y[3 * from];
}

/* g = G' u: from six values to three, the transpose of drl__winograd_weights. */
DRL__INLINE DRL__TARGET void DRL__FN(drl__winograd_weights_grad)(const drl__v *u, const int from, drl__v *g,
    const int to)
{
    const drl__v a = drl__vset(DRL__WA), a2 = drl__vset(DRL__WA2);
    const drl__v b = drl__vset(DRL__WB), b2 = drl__vset(DRL__WB2);
    const drl__v n0 = drl__vset(DRL__WN0), na = drl__vset(DRL__WNA), nb = drl__vset(DRL__WNB);
    drl__v sa = drl__vmul(na, drl__vadd(u[from], u[2 * from]));
    drl__v da = drl__vmul(na, drl__vsub(u[from], u[2 * from]));
    drl__v sb = drl__vmul(nb, drl__vadd(u[3 * from], u[4 * from]));
    drl__v db = drl__vmul(nb, drl__vsub(u[3 * from], u[4 * from]));
    const drl__v one = drl__vset(1.0f);
    g[0] = drl__vfma(n0, u[0], drl__vfma(one, sa, sb));
    g[to] = drl__vfma(a, da, drl__vmul(b, db));
    g[2 * to] = drl__vfma(a2, sa, drl__vfma(b2, sb, u[5 * from]));
}

/* out[MR inputs][nv vectors of outputs] += sum over `count` tiles of v[tile][input] * d[tile][output]. The
 * first `skip` inputs belong to the group before, and are not stored. */
DRL__INLINE DRL__TARGET void DRL__FN(drl__winograd_dw_tile)(const int nv, const float *v, size_t c,
    const float *d, size_t kp, size_t count, int skip, float *out)
{
    drl__v acc[DRL__MR][DRL__NV], dv[DRL__NV], xi;
    int i, j;
    size_t t;
    DRL__EACH(i, DRL__MR) DRL__EACH(j, DRL__NV)
        if (j < nv) acc[i][j] = drl__vload(out + (size_t)i * kp + j * DRL__VL);
    for (t = 0; t < count; ++t, v += c, d += kp) {
        DRL__EACH(j, DRL__NV) if (j < nv) dv[j] = drl__vload(d + j * DRL__VL);
        DRL__EACH(i, DRL__MR) {
            xi = drl__vset(v[i]);
            DRL__EACH(j, DRL__NV) if (j < nv) acc[i][j] = drl__vfma(xi, dv[j], acc[i][j]);
        }
    }
    DRL__EACH(i, DRL__MR) if (i >= skip) DRL__EACH(j, DRL__NV)
        if (j < nv) drl__vstore(out + (size_t)i * kp + j * DRL__VL, acc[i][j]);
}

/* A dy A' of one tile: rows [begin, end) of its 6 x 6 planes, d_step floats apart and `width` floats long. */
DRL__INLINE DRL__TARGET void DRL__FN(drl__winograd_load_grad)(const drl__winograd_args *a, size_t tile,
    size_t begin, size_t end, float *to, size_t width, size_t d_step)
{
    int row, column, j;
    size_t k = (size_t)a->k, image = DRL__FN(drl__winograd_tile)(a, tile, &row, &column), e, i;
    const float *dy = a->dy + ((image * (size_t)a->h + (size_t)row) * (size_t)a->w + (size_t)column) * k;
    for (e = 0; e < width; e += DRL__VL) {
        drl__v line[6], half[24];
        for (j = 0; j < 4; ++j) {
            for (i = 0; i < 4; ++i) {
                int inside = row + (int)i < a->h && column + j < a->w;
                size_t at = (i * (size_t)a->w + (size_t)j) * k + e;
                line[i] = inside ? drl__vload_n(dy + at, k - e) : drl__vset(0.0f);
            }
            DRL__FN(drl__winograd_out_grad)(line, 1, half + j, 4);
        }
        for (i = begin; i < end; ++i) {
            DRL__FN(drl__winograd_out_grad)(half + 4 * i, 1, line, 1);
            DRL__REPEAT(j, 6) drl__vstore(to + (6 * i + (size_t)j) * d_step + e, line[j]);
        }
    }
}

/* Parameter gradient, dg = sum over tiles of G'[(B' d B) . (A dy A')] G, in two stages:
 *   0  Items are the six rows of planes. A chunk of tiles at a time, inputs become v[plane][tile][c] and
 *      gradients d[plane][tile][k], and the product of both is added to u[plane][c][k]. A row of planes needs
 *      nothing from the other rows, so no thread waits for another between chunks.
 *   1  Items are inputs c: the transform of u is added to dweight [k][c][3][3]. */
DRL__TARGET static void DRL__FN(drl__winograd_dw)(const void *arg, size_t begin, size_t end, int job)
{
    const drl__winograd_args *a = (const drl__winograd_args *)arg;
    const int full = DRL__NV * DRL__VL;
    int kp = (a->k + DRL__VL - 1) / DRL__VL * DRL__VL, i, j, k0;
    size_t c = (size_t)a->c, k = (size_t)a->k, width = (size_t)kp, chunk = (size_t)a->chunk;
    size_t e, t, first, count;
    size_t v_step = chunk * c + DRL__LANES, d_step = chunk * width + DRL__LANES;
    size_t blocks = (size_t)((kp + full - 1) / full), groups = (c + DRL__MR - 1) / DRL__MR;
    size_t step, steps = 6 * (end - begin) * blocks * groups, next, left;
    float *v = a->scratch, *d = v + 36 * v_step;
    (void)job;
    if (a->stage == 0) for (first = 0; first < a->tiles; first += count) {
        count = a->tiles - first < chunk ? a->tiles - first : chunk;
        for (t = 0; t < count; ++t) {
            DRL__FN(drl__winograd_load)(a, first + t, begin, end, v + t * c, v_step);
            DRL__FN(drl__winograd_load_grad)(a, first + t, begin, end, d + t * width, width, d_step);
        }
        next = (first + count) * 16;    /* about the pixel where the next chunk begins, which is fetched */
        left = a->tiles * 16 - next < count * 16 ? a->tiles * 16 - next : count * 16;
        step = 0;
        for (t = 6 * begin; t < 6 * end; ++t)
        for (k0 = 0; k0 < kp; k0 += full) for (e = 0; e < c; e += DRL__MR, ++step) {
            int n = kp - k0 < full ? kp - k0 : full, skip = e + DRL__MR > c ? (int)(e + DRL__MR - c) : 0;
            const float *vt = v + t * v_step + e - skip, *dt = d + t * d_step + k0;
            float *out = a->u + (t * c + e - (size_t)skip) * width + k0;
            drl__fetch_part(a->x + next * c, left * c, step, steps);
            drl__fetch_part(a->dy + next * k, left * k, step, steps);
            DRL__BY_VECTORS(n / DRL__VL, DRL__FN(drl__winograd_dw_tile), vt, c, dt, width, count, skip, out)
        }
    }
    else for (t = begin; t < end; ++t) for (e = 0; e < k; e += DRL__VL) {
        drl__v u[36], half[18], g[9];
        float taps[9][DRL__VL];
        size_t l;
        for (i = 0; i < 36; ++i) u[i] = drl__vload(a->u + ((size_t)i * c + t) * width + e);
        for (j = 0; j < 6; ++j) DRL__FN(drl__winograd_weights_grad)(u + j, 6, half + j, 6);
        for (i = 0; i < 3; ++i) DRL__FN(drl__winograd_weights_grad)(half + 6 * i, 1, g + 3 * i, 1);
        for (i = 0; i < 9; ++i) drl__vstore(taps[i], g[i]);
        for (l = 0; l < DRL__VL && e + l < k; ++l) {
            float *dweight = a->dweight + ((e + l) * c + t) * 9;
            for (i = 0; i < 9; ++i) dweight[i] += taps[i][l];
        }
    }
}

/* --- the other operators -------------------------------------------------------------------------------- */

/* ReLU, leaky ReLU or neither. begin is a multiple of DRL__LANES, so that jobs share no byte of the bits. */
DRL__TARGET static void DRL__FN(drl__act)(const void *arg, size_t begin, size_t end, int job)
{
    const drl__act_args *a = (const drl__act_args *)arg;
    const drl__v slope = drl__vset(a->act == DRL_ACT_NONE ? 1.0f : 0.2f), zero = drl__vset(0.0f);
    size_t e, i;
    (void)job;
    for (e = begin; e < end; e += DRL__LANES) {
        unsigned bits = 0;
        for (i = 0; i < DRL__LANES && e + i < end; i += DRL__VL) {
            drl__v x = drl__vload_n(a->x + e + i, end - e - i);
            drl__v below = a->act == DRL_ACT_RELU ? zero : drl__vmul(slope, x);
            bits |= drl__vpositive(x) << i;
            drl__vstore_n(a->y + e + i, end - e - i, drl__vmax(below, x));
        }
        if (a->bits_out) {
            a->bits_out[e / 8] = (uint8_t)(bits & 255);
            if (e + 8 < end) a->bits_out[e / 8 + 1] = (uint8_t)(bits >> 8);
        }
    }
}

/* dx of n <= DRL__LANES elements, whose first bit begins a byte. */
DRL__INLINE DRL__TARGET void DRL__FN(drl__act_grad_lanes)(const uint8_t *bits, drl__v kept, drl__v slope,
    int accumulate, const float *dy, float *dx, size_t n)
{
    unsigned lanes = bits ? bits[0] : 0;
    size_t i;
    if (bits && n > 8) lanes |= (unsigned)bits[1] << 8;
    DRL__EACH(i, DRL__LANES) if (i % DRL__VL == 0 && i < n) {
        drl__v d = drl__vpick(lanes >> i, kept, slope), g = drl__vload_n(dy + i, n - i);
        d = accumulate ? drl__vfma(d, g, drl__vload_n(dx + i, n - i)) : drl__vmul(d, g);
        drl__vstore_n(dx + i, n - i, d);
    }
}

DRL__TARGET static void DRL__FN(drl__act_grad)(const void *arg, size_t begin, size_t end, int job)
{
    const drl__act_args a = *(const drl__act_args *)arg;        /* a copy that no store can change */
    const drl__v kept = drl__vset(a.kept);
    const drl__v slope = drl__vset(a.act == DRL_ACT_NONE ? 1.0f : a.act == DRL_ACT_RELU ? 0.0f : 0.2f);
    size_t e, n;
    (void)job;
    for (e = begin; e < end; e += DRL__LANES) {
        const uint8_t *bits = a.bits ? a.bits + e / 8 : NULL;
        const float *dy = a.dy + e;
        float *dx = a.y + e;
        n = end - e;
        DRL__PREFETCH(dx);
        if (n < DRL__LANES) DRL__FN(drl__act_grad_lanes)(bits, kept, slope, a.accumulate, dy, dx, n);
        else DRL__FN(drl__act_grad_lanes)(bits, kept, slope, a.accumulate, dy, dx, DRL__LANES);
    }
}

/* y = x / (1 + e^-x). Below -40 the sigmoid is that of -40, 4e-18: no sum would show the difference, and
 * activations that shrink to denormal numbers from layer to layer make training three times slower. */
DRL__INLINE DRL__TARGET void DRL__FN(drl__silu_vector)(const float *x, float *y, size_t n)
{
    const drl__v one = drl__vset(1.0f), zero = drl__vset(0.0f), low = drl__vset(-40.0f);
    drl__v v = drl__vload_n(x, n);
    drl__vstore_n(y, n, drl__vdiv(v, drl__vadd(one, DRL__FN(drl__vexp)(drl__vsub(zero, drl__vmax(low, v))))));
}

DRL__TARGET static void DRL__FN(drl__silu)(const void *arg, size_t begin, size_t end, int job)
{
    const drl__act_args *a = (const drl__act_args *)arg;
    const float *x = a->x;
    float *y = a->y;
    size_t e = begin;
    (void)job;
    for (; e + DRL__VL <= end; e += DRL__VL) {
        DRL__PREFETCH(y + e);
        DRL__FN(drl__silu_vector)(x + e, y + e, DRL__VL);
    }
    if (e < end) DRL__FN(drl__silu_vector)(x + e, y + e, end - e);
}

/* dx = dy (s + x s (1 - s)), s = 1 / (1 + e^-x) */
DRL__INLINE DRL__TARGET void DRL__FN(drl__silu_grad_vector)(const int accumulate,
    const float *x, const float *dy, float *dx, size_t n)
{
    const drl__v one = drl__vset(1.0f), zero = drl__vset(0.0f), low = drl__vset(-40.0f);
    drl__v v = drl__vload_n(x, n), d;
    drl__v s = drl__vdiv(one, drl__vadd(one, DRL__FN(drl__vexp)(drl__vsub(zero, drl__vmax(low, v)))));
    d = drl__vfma(drl__vmul(v, s), drl__vsub(one, s), s);
    if (accumulate) d = drl__vfma(d, drl__vload_n(dy, n), drl__vload_n(dx, n));
    else d = drl__vmul(d, drl__vload_n(dy, n));
    drl__vstore_n(dx, n, d);
}

DRL__TARGET static void DRL__FN(drl__silu_grad)(const void *arg, size_t begin, size_t end, int job)
{
    const drl__act_args *a = (const drl__act_args *)arg;
    const float *x = a->x, *dy = a->dy;
    float *dx = a->y;
    const int accumulate = a->accumulate;
    size_t e = begin;
    (void)job;
    if (accumulate) for (; e + DRL__VL <= end; e += DRL__VL) {
        DRL__PREFETCH(x + e);
        DRL__FN(drl__silu_grad_vector)(1, x + e, dy + e, dx + e, DRL__VL);
    }
    else for (; e + DRL__VL <= end; e += DRL__VL) {
        DRL__PREFETCH(x + e);
        DRL__FN(drl__silu_grad_vector)(0, x + e, dy + e, dx + e, DRL__VL);
    }
    if (e < end) DRL__FN(drl__silu_grad_vector)(accumulate, x + e, dy + e, dx + e, end - e);
}

/* One vector of drl__affine_args' equation. */
DRL__INLINE DRL__TARGET void DRL__FN(drl__affine_vector)(const float *x, drl__v x0, const float *gain,
    const float *shift, int accumulate, float *y, size_t n)
{
    drl__v v = x ? drl__vload_n(x, n) : x0, base = shift ? drl__vload_n(shift, n) : drl__vset(0.0f);
    if (accumulate) base = drl__vadd(base, drl__vload_n(y, n));
    drl__vstore_n(y, n, gain ? drl__vfma(v, drl__vload_n(gain, n), base) : drl__vadd(v, base));
}

/* Items are the pixels of all images. */
DRL__TARGET static void DRL__FN(drl__affine)(const void *arg, size_t begin, size_t end, int job)
{
    const drl__affine_args a = *(const drl__affine_args *)arg;
    const float *x, *gain, *shift;
    float *y;
    size_t p, last, c, n;
    (void)job;
    for (p = begin; p < end; p = last) {
        size_t image = p / a.rows;
        const drl__v x0 = drl__vset(a.x ? 0.0f : a.x0[image * a.x0_step]);
        last = (image + 1) * a.rows < end ? (image + 1) * a.rows : end;
        for (; p < last; ++p) for (c = 0; c < a.c; c += DRL__VL) {
            n = a.c - c;
            x = a.x ? a.x + p * a.c + c : NULL;
            gain = a.gain ? a.gain + image * a.gain_step + c : NULL;
            shift = a.shift ? a.shift + image * a.shift_step + c : NULL;
            y = a.y + p * a.c + c;
            DRL__PREFETCH(y);
            if (n >= DRL__VL) DRL__FN(drl__affine_vector)(x, x0, gain, shift, a.accumulate, y, DRL__VL);
            else DRL__FN(drl__affine_vector)(x, x0, gain, shift, a.accumulate, y, n);
        }
    }
}

/* Sums of nv vectors of columns, the last n floats long (nv == 1; else all full). A column is summed in
 * chains of 32 rows, and the chains' sums in one more: a single chain down an image of 32x32 rounds so much
 * more that gradients which should cancel, as those of biases before a normalisation, consist of rounding
 * errors. */
DRL__INLINE DRL__TARGET void DRL__FN(drl__columns_strip)(const int nv, const drl__columns_args *a,
    const float *pa, const float *pb, size_t n, float *out)
{
    const float *u = a->u;
    const size_t rows = a->rows, c = a->c;
    drl__v acc[4], sum[4], term;
    size_t row, left;
    int j;
    DRL__EACH(j, 4) if (j < nv) acc[j] = sum[j] = drl__vset(0.0f);
    for (row = 0; row < rows; ++row, pa += c) {
        drl__v factor = drl__vset(u ? u[row] : 1.0f);
        if (row % 32 == 0) DRL__EACH(j, 4) if (j < nv) {
            sum[j] = drl__vadd(sum[j], acc[j]);
            acc[j] = drl__vset(0.0f);
        }
        DRL__EACH(j, 4) if (j < nv) {
            left = nv == 1 ? n : DRL__VL;
            DRL__PREFETCH(pa + j * DRL__VL);
            if (pb) DRL__PREFETCH(pb + j * DRL__VL);
            term = pb ? drl__vload_n(pb + j * DRL__VL, left) : factor;
            acc[j] = drl__vfma(drl__vload_n(pa + j * DRL__VL, left), term, acc[j]);
        }
        if (pb) pb += c;
    }
    DRL__EACH(j, 4) if (j < nv) {
        drl__v base;
        left = nv == 1 ? n : DRL__VL;
        base = a->accumulate ? drl__vload_n(out + j * DRL__VL, left) : drl__vset(0.0f);
        sum[j] = drl__vadd(sum[j], acc[j]);
        drl__vstore_n(out + j * DRL__VL, left, drl__vfma(drl__vset(a->scale), sum[j], base));
    }
}

/* Items are [image][group of 64 columns]. */
DRL__TARGET static void DRL__FN(drl__columns)(const void *arg, size_t begin, size_t end, int job)
{
    const drl__columns_args *a = (const drl__columns_args *)arg;
    const size_t group = DRL__LANES * 4, four = 4 * DRL__VL, two = 2 * DRL__VL;
    size_t groups = (a->c + group - 1) / group, item, c, last;
    (void)job;
    for (item = begin; item < end; ++item) {
        size_t image = item / groups;
        const float *pa = a->a + image * a->rows * a->c, *pb = a->b ? a->b + image * a->rows * a->c : NULL;
        float *out = a->out + image * a->c;
        c = item % groups * group;
        last = a->c - c < group ? a->c : c + group;
        for (; c + four <= last; c += four)
            DRL__FN(drl__columns_strip)(4, a, pa + c, pb ? pb + c : NULL, four, out + c);
        for (; c + two <= last; c += two)
            DRL__FN(drl__columns_strip)(2, a, pa + c, pb ? pb + c : NULL, two, out + c);
        for (; c < last; c += DRL__VL)
            DRL__FN(drl__columns_strip)(1, a, pa + c, pb ? pb + c : NULL, last - c, out + c);
    }
}

/* y (+)= scale * sum of each 2x2 square of x. */
DRL__INLINE DRL__TARGET void DRL__FN(drl__pool_vector)(const float *x, const float *below, size_t step,
    drl__v scale, int accumulate, float *y, size_t n)
{
    drl__v top = drl__vadd(drl__vload_n(x, n), drl__vload_n(x + step, n));
    drl__v bottom = drl__vadd(drl__vload_n(below, n), drl__vload_n(below + step, n));
    drl__v base = accumulate ? drl__vload_n(y, n) : drl__vset(0.0f);
    drl__vstore_n(y, n, drl__vfma(scale, drl__vadd(top, bottom), base));
}

DRL__TARGET static void DRL__FN(drl__pool)(const void *arg, size_t begin, size_t end, int job)
{
    const drl__pool_args a = *(const drl__pool_args *)arg;
    const drl__v scale = drl__vset(a.scale);
    size_t row, j, c;
    (void)job;
    for (row = begin; row < end; ++row) for (j = 0; j < a.w; ++j) {
        const float *x = a.x + (row * 2 * a.w * 2 + j * 2) * a.c, *below = x + a.w * 2 * a.c;
        float *y = a.y + (row * a.w + j) * a.c;
        for (c = 0; c + DRL__VL <= a.c; c += DRL__VL)
            DRL__FN(drl__pool_vector)(x + c, below + c, a.c, scale, a.accumulate, y + c, DRL__VL);
        if (c < a.c) DRL__FN(drl__pool_vector)(x + c, below + c, a.c, scale, a.accumulate, y + c, a.c - c);
    }
}

/* Each 2x2 square of y (+)= scale * x. */
DRL__INLINE DRL__TARGET void DRL__FN(drl__spread_vector)(const float *x, drl__v scale, int accumulate,
    float *y, float *below, size_t step, size_t n)
{
    drl__v v = drl__vload_n(x, n);
    size_t k;
    DRL__EACH(k, 4) {
        float *to = (k < 2 ? y : below) + (k % 2) * step;
        drl__vstore_n(to, n, drl__vfma(scale, v, accumulate ? drl__vload_n(to, n) : drl__vset(0.0f)));
    }
}

DRL__TARGET static void DRL__FN(drl__spread)(const void *arg, size_t begin, size_t end, int job)
{
    const drl__pool_args a = *(const drl__pool_args *)arg;
    const drl__v scale = drl__vset(a.scale);
    size_t row, j, c;
    (void)job;
    for (row = begin; row < end; ++row) for (j = 0; j < a.w; ++j) {
        const float *x = a.x + (row * a.w + j) * a.c;
        float *y = a.y + (row * 2 * a.w * 2 + j * 2) * a.c, *below = y + a.w * 2 * a.c;
        for (c = 0; c + DRL__VL <= a.c; c += DRL__VL) {
            DRL__PREFETCH(y + 2 * c);
            DRL__PREFETCH(below + 2 * c);
            DRL__FN(drl__spread_vector)(x + c, scale, a.accumulate, y + c, below + c, a.c, DRL__VL);
        }
        if (c < a.c) DRL__FN(drl__spread_vector)(x + c, scale, a.accumulate, y + c, below + c, a.c, a.c - c);
    }
}

/* y = s0 a + s1 b, or s0 a if b is NULL. */
DRL__TARGET static void DRL__FN(drl__axpby)(const void *arg, size_t begin, size_t end, int job)
{
    const drl__map_args *m = (const drl__map_args *)arg;
    const drl__v s0 = drl__vset(m->s[0]), s1 = drl__vset(m->s[1]);
    const float *a = m->a, *b = m->b;
    float *y = m->y;
    drl__v v;
    size_t e;
    (void)job;
    for (e = begin; e + DRL__VL <= end; e += DRL__VL) {
        DRL__PREFETCH(y + e);
        v = drl__vload(a + e);
        drl__vstore(y + e, b ? drl__vfma(s0, v, drl__vmul(s1, drl__vload(b + e))) : drl__vmul(s0, v));
    }
    if (e < end) {
        v = drl__vload_n(a + e, end - e);
        v = b ? drl__vfma(s0, v, drl__vmul(s1, drl__vload_n(b + e, end - e))) : drl__vmul(s0, v);
        drl__vstore_n(y + e, end - e, v);
    }
}

DRL__TARGET static void DRL__FN(drl__langevin)(const void *arg, size_t begin, size_t end, int job)
{
    const drl__langevin_kernel_args *m = (const drl__langevin_kernel_args *)arg;
    const drl__v cg = drl__vset(m->grad_scale), cx = drl__vset(m->next_scale), cn = drl__vset(m->noise_scale);
    size_t e;
    (void)job;
    for (e = begin; e < end; e += DRL__VL) {
        drl__v y = drl__vload_n(m->y + e, end - e), v = drl__vfma(cg, drl__vload_n(m->grad + e, end - e), y);
        if (m->x_next) v = drl__vfma(cx, drl__vsub(drl__vload_n(m->x_next + e, end - e), y), v);
        drl__vstore_n(m->y + e, end - e, drl__vfma(cn, drl__vload_n(m->eps + e, end - e), v));
    }
}

DRL__TARGET static void DRL__FN(drl__adam)(const void *arg, size_t begin, size_t end, int job)
{
    const drl__adam_args *a = (const drl__adam_args *)arg;
    const drl__v scale = drl__vset(a->grad_scale), step = drl__vset(a->step_size), eps = drl__vset(a->eps);
    const drl__v beta1 = drl__vset(a->beta1), one_less_beta1 = drl__vset(1.0f - a->beta1);
    const drl__v beta2 = drl__vset(a->beta2), one_less_beta2 = drl__vset(1.0f - a->beta2);
    const drl__v decay = drl__vset(a->ema_decay), one_less_decay = drl__vset(1.0f - a->ema_decay);
    const drl__v correct = drl__vset(a->inv_sqrt_bc2);
    size_t e;
    (void)job;
    for (e = begin; e < end; e += DRL__VL) {
        size_t n = end - e;
        drl__v g = drl__vmul(drl__vload_n(a->grad + e, n), scale), p = drl__vload_n(a->p + e, n);
        drl__v m = drl__vfma(beta1, drl__vload_n(a->m + e, n), drl__vmul(one_less_beta1, g));
        drl__v v = drl__vfma(beta2, drl__vload_n(a->v + e, n), drl__vmul(drl__vmul(one_less_beta2, g), g));
        p = drl__vsub(p, drl__vdiv(drl__vmul(step, m), drl__vfma(drl__vsqrt(v), correct, eps)));
        drl__vstore_n(a->p + e, n, p);
        drl__vstore_n(a->m + e, n, m);
        drl__vstore_n(a->v + e, n, v);
        if (a->ema) {
            drl__v ema = drl__vfma(decay, drl__vload_n(a->ema + e, n), drl__vmul(one_less_decay, p));
            drl__vstore_n(a->ema + e, n, ema);
        }
    }
}

/* Sum of a[i] * b[i]. Partial sum l takes elements l, l + 16, l + 32, ...; halves are added to halves. */
DRL__TARGET static float DRL__FN(drl__dot16)(const float *a, const float *b, size_t n)
{
    drl__v acc[DRL__LANES / DRL__VL];
    float t[DRL__LANES];
    size_t e, at;
    int j, half;
    DRL__REPEAT(j, DRL__LANES / DRL__VL) acc[j] = drl__vset(0.0f);
    for (e = 0; e + DRL__LANES <= n; e += DRL__LANES) DRL__REPEAT(j, DRL__LANES / DRL__VL) {
        at = e + (size_t)(j * DRL__VL);
        acc[j] = drl__vfma(drl__vload(a + at), drl__vload(b + at), acc[j]);
    }
    DRL__REPEAT(j, DRL__LANES / DRL__VL) {
        at = e + (size_t)(j * DRL__VL);
        if (at < n) acc[j] = drl__vfma(drl__vload_n(a + at, n - at), drl__vload_n(b + at, n - at), acc[j]);
        drl__vstore(t + j * DRL__VL, acc[j]);
    }
    for (half = DRL__LANES / 2; half; half /= 2) for (j = 0; j < half; ++j) t[j] = t[j] + t[j + half];
    return t[0];
}

/* Moments of nv vectors of channels from c on, the last n floats long (nv == 1; else all full). Each
 * channel is one chain down the rows; dy is summed 32 rows at a time, as in drl__columns_strip. */
DRL__INLINE DRL__TARGET void DRL__FN(drl__moments_strip)(const int nv, const int with_dy,
    const drl__norm_args *a, size_t c, size_t n)
{
    const drl__v one = drl__vset(1.0f), zero = drl__vset(0.0f);
    drl__v acc[4], mean[4], part[4], sum[4], x, dy;
    const float *px = a->x + c, *pd = with_dy ? a->dy + c : NULL;
    const size_t rows = a->rows, step = a->c;
    size_t row, left = nv == 1 ? n : DRL__VL;
    int j;
    DRL__EACH(j, 4) if (j < nv) {
        acc[j] = part[j] = sum[j] = zero;
        mean[j] = drl__vload_n(a->mean + c + j * DRL__VL, left);
    }
    for (row = 0; row < rows; ++row, px += step) {
        if (with_dy && row % 32 == 0) DRL__EACH(j, 4) if (j < nv) {
            sum[j] = drl__vadd(sum[j], part[j]);
            part[j] = zero;
        }
        DRL__EACH(j, 4) if (j < nv) {
            DRL__PREFETCH(px + j * DRL__VL);
            x = drl__vsub(drl__vload_n(px + j * DRL__VL, left), mean[j]);
            if (with_dy) {
                dy = drl__vload_n(pd + j * DRL__VL, left);
                part[j] = drl__vfma(dy, one, part[j]);
            } else dy = x;
            acc[j] = drl__vfma(x, dy, acc[j]);
        }
        if (with_dy) pd += step;
    }
    DRL__EACH(j, 4) if (j < nv) {
        drl__vstore_n(a->y + c + j * DRL__VL, left, acc[j]);
        sum[j] = drl__vfma(one, drl__vadd(sum[j], part[j]), zero);
        if (with_dy) drl__vstore_n(a->sums + c + j * DRL__VL, left, sum[j]);
    }
}

DRL__TARGET static void DRL__FN(drl__moments)(const void *arg, size_t begin, size_t end, int job)
{
    const drl__norm_args *a = (const drl__norm_args *)arg;
    size_t c = begin;
    (void)job;
    if (!a->dy) {
        for (; c + 4 * DRL__VL <= end; c += 4 * DRL__VL) DRL__FN(drl__moments_strip)(4, 0, a, c, 4 * DRL__VL);
        for (; c + 2 * DRL__VL <= end; c += 2 * DRL__VL) DRL__FN(drl__moments_strip)(2, 0, a, c, 2 * DRL__VL);
        for (; c < end; c += DRL__VL) DRL__FN(drl__moments_strip)(1, 0, a, c, end - c);
    } else {
        for (; c + 4 * DRL__VL <= end; c += 4 * DRL__VL) DRL__FN(drl__moments_strip)(4, 1, a, c, 4 * DRL__VL);
        for (; c + 2 * DRL__VL <= end; c += 2 * DRL__VL) DRL__FN(drl__moments_strip)(2, 1, a, c, 2 * DRL__VL);
        for (; c < end; c += DRL__VL) DRL__FN(drl__moments_strip)(1, 1, a, c, end - c);
    }
}

/* n channels from c on of the pixel whose channels begin at element `at`. */
DRL__INLINE DRL__TARGET void DRL__FN(drl__normalize_vector)(const drl__norm_args *a, size_t at, size_t c,
    size_t n)
{
    drl__v v = drl__vload_n(a->shift + c, n), x = drl__vload_n(a->x + at + c, n);
    x = drl__vsub(x, drl__vload_n(a->mean + c, n));
    if (a->accumulate) v = drl__vadd(v, drl__vload_n(a->y + at + c, n));
    v = drl__vfma(x, drl__vload_n(a->gain + c, n), v);
    if (a->dy) v = drl__vfma(drl__vload_n(a->dy + at + c, n), drl__vload_n(a->dy_gain + c, n), v);
    drl__vstore_n(a->y + at + c, n, v);
}

DRL__TARGET static void DRL__FN(drl__normalize)(const void *arg, size_t begin, size_t end, int job)
{
    const drl__norm_args a = *(const drl__norm_args *)arg;      /* a copy that no store can change */
    size_t row, c;
    (void)job;
    for (row = begin; row < end; ++row) {
        for (c = 0; c + DRL__VL <= a.c; c += DRL__VL) {
            DRL__PREFETCH(a.y + row * a.c + c);
            DRL__FN(drl__normalize_vector)(&a, row * a.c, c, DRL__VL);
        }
        if (c < a.c) DRL__FN(drl__normalize_vector)(&a, row * a.c, c, a.c - c);
    }
}

/* y[rows <= MR][nv vectors, the last n floats long] = (accumulate ? y : 0) + sum over k < depth of
 * a[row][k] * b[k][column]. The steps are floats from one index to the next. a is read by single numbers, b
 * by vectors. */
DRL__INLINE DRL__TARGET void DRL__FN(drl__matmul_tile)(const int nv, size_t n, int rows, size_t depth,
    const float *a, size_t a_row, size_t a_k, const float *b, size_t b_k, float *y, size_t y_row,
    int accumulate)
{
    drl__v acc[DRL__MR][DRL__NV], bv[DRL__NV], ai;
    const float *p[DRL__MR];
    size_t k, left = nv == 1 ? n : DRL__VL;
    int i, j;
    DRL__EACH(i, DRL__MR) {         /* past the last row, it is computed again and not stored */
        size_t row = (size_t)(i < rows ? i : rows - 1);
        p[i] = a + row * a_row;
        DRL__EACH(j, DRL__NV) if (j < nv) {
            acc[i][j] = accumulate ? drl__vload_n(y + row * y_row + j * DRL__VL, left) : drl__vset(0.0f);
        }
    }
    for (k = 0; k < depth; ++k, b += b_k) {
        DRL__EACH(j, DRL__NV) if (j < nv) bv[j] = drl__vload_n(b + j * DRL__VL, left);
        DRL__EACH(i, DRL__MR) {
            ai = drl__vset(p[i][k * a_k]);
            DRL__EACH(j, DRL__NV) if (j < nv) acc[i][j] = drl__vfma(ai, bv[j], acc[i][j]);
        }
    }
    DRL__EACH(i, DRL__MR) if (i < rows) DRL__EACH(j, DRL__NV)
        if (j < nv) drl__vstore_n(y + (size_t)i * y_row + j * DRL__VL, left, acc[i][j]);
}

/* y[rows][columns] (+)= a[rows][depth] * b[depth][columns], with steps as in drl__matmul_tile. */
DRL__TARGET static void DRL__FN(drl__matmul)(size_t rows, size_t columns, size_t depth, const float *a,
    size_t a_row, size_t a_k, const float *b, size_t b_k, float *y, size_t y_row, int accumulate)
{
    size_t i, j = 0;
#define DRL__COLUMNS(nv, n)         /* nv vectors of columns from j on, the last n floats long */ \
    for (i = 0; i < rows; i += DRL__MR) \
        DRL__FN(drl__matmul_tile)(nv, n, rows - i < DRL__MR ? (int)(rows - i) : DRL__MR, depth, \
            a + i * a_row, a_row, a_k, b + j, b_k, y + i * y_row + j, y_row, accumulate);
    for (; j + DRL__NV * DRL__VL <= columns; j += DRL__NV * DRL__VL) DRL__COLUMNS(DRL__NV, DRL__NV * DRL__VL)
#if DRL__NV == 4
    for (; j + 2 * DRL__VL <= columns; j += 2 * DRL__VL) DRL__COLUMNS(2, 2 * DRL__VL)
#endif
    for (; j < columns; j += DRL__VL) DRL__COLUMNS(1, columns - j)
#undef DRL__COLUMNS
}

/* s <- softmax of scale * s, scale > 0. The largest number is subtracted first. Sums as in drl__dot16. */
DRL__TARGET static void DRL__FN(drl__softmax)(float *s, size_t n, float scale)
{
    drl__v top[DRL__LANES / DRL__VL], sum[DRL__LANES / DRL__VL], x;
    const drl__v first = drl__vset(s[0]), zero = drl__vset(0.0f), factor = drl__vset(scale);
    float t[DRL__LANES];
    size_t e, at;
    int j, half;
/* Bits of the lanes of the vector at element `at` that are below n. */
#define DRL__LANES_FROM(at) (n - (at) >= DRL__VL ? 0xFFFFu : (1u << (n - (at))) - 1u)
    for (j = 0; j < DRL__LANES / DRL__VL; ++j) {
        top[j] = first;
        sum[j] = zero;
    }
    for (e = 0; e + DRL__LANES <= n; e += DRL__LANES)
        DRL__EACH(j, DRL__LANES / DRL__VL) top[j] = drl__vmax(top[j], drl__vload(s + e + j * DRL__VL));
    for (j = 0; j < DRL__LANES / DRL__VL; ++j) {
        at = e + (size_t)(j * DRL__VL);
        if (at < n) {
            x = drl__vpick(DRL__LANES_FROM(at), drl__vload_n(s + at, n - at), first);
            top[j] = drl__vmax(top[j], x);
        }
    }
    for (j = 0; j < DRL__LANES / DRL__VL; ++j) drl__vstore(t + j * DRL__VL, top[j]);
    for (half = DRL__LANES / 2; half; half /= 2)
        for (j = 0; j < half; ++j) t[j] = t[j] > t[j + half] ? t[j] : t[j + half];
    top[0] = drl__vset(t[0]);
    for (e = 0; e + DRL__LANES <= n; e += DRL__LANES) DRL__EACH(j, DRL__LANES / DRL__VL) {
        x = DRL__FN(drl__vexp)(drl__vmul(drl__vsub(drl__vload(s + e + j * DRL__VL), top[0]), factor));
        sum[j] = drl__vadd(sum[j], x);
        drl__vstore(s + e + j * DRL__VL, x);
    }
    for (j = 0; j < DRL__LANES / DRL__VL; ++j) {
        at = e + (size_t)(j * DRL__VL);
        if (at < n) {
            x = DRL__FN(drl__vexp)(drl__vmul(drl__vsub(drl__vload_n(s + at, n - at), top[0]), factor));
            sum[j] = drl__vadd(sum[j], drl__vpick(DRL__LANES_FROM(at), x, zero));
            drl__vstore_n(s + at, n - at, x);
        }
    }
#undef DRL__LANES_FROM
    for (j = 0; j < DRL__LANES / DRL__VL; ++j) drl__vstore(t + j * DRL__VL, sum[j]);
    for (half = DRL__LANES / 2; half; half /= 2) for (j = 0; j < half; ++j) t[j] = t[j] + t[j + half];
    sum[0] = drl__vset(t[0]);
    for (e = 0; e + DRL__VL <= n; e += DRL__VL) drl__vstore(s + e, drl__vdiv(drl__vload(s + e), sum[0]));
    if (e < n) drl__vstore_n(s + e, n - e, drl__vdiv(drl__vload_n(s + e, n - e), sum[0]));
}

/* out[c][tokens] from x[tokens][3 c]: the keys or the values of one image, by channel. */
DRL__TARGET static void DRL__FN(drl__by_channel)(const float *x, size_t tokens, size_t c, float *out)
{
    drl__v v[DRL__VL];
    size_t t, k, i;
    for (k = 0; k + DRL__VL <= c; k += DRL__VL) {
        for (t = 0; t + DRL__VL <= tokens; t += DRL__VL) {
            DRL__EACH(i, DRL__VL) v[i] = drl__vload(x + (t + i) * 3 * c + k);
            DRL__FN(drl__transpose)(v);
            DRL__EACH(i, DRL__VL) drl__vstore(out + (k + i) * tokens + t, v[i]);
        }
        for (; t < tokens; ++t) for (i = k; i < k + DRL__VL; ++i) out[i * tokens + t] = x[t * 3 * c + i];
    }
    for (; k < c; ++k) for (t = 0; t < tokens; ++t) out[k * tokens + t] = x[t * 3 * c + k];
}

DRL__TARGET static void DRL__FN(drl__attention)(const void *arg, size_t begin, size_t end, int job)
{
    const drl__attention_args *a = (const drl__attention_args *)arg;
    size_t tokens = a->tokens, c = a->c, blocks = (tokens + DRL__QUERIES - 1) / DRL__QUERIES;
    size_t prepared = SIZE_MAX, item, i;
    float *keys = a->scratch + (size_t)job * a->scratch_each, *scores = keys + c * tokens;
    for (item = begin; item < end; ++item) {
        size_t image = item / blocks, first = item % blocks * DRL__QUERIES;
        size_t rows = tokens - first < DRL__QUERIES ? tokens - first : DRL__QUERIES;
        const float *q = a->qkv + image * tokens * 3 * c, *k = q + c, *v = k + c;
        float *y = a->y + (image * tokens + first) * c;
        if (image != prepared) DRL__FN(drl__by_channel)(k, tokens, c, keys);
        prepared = image;
        DRL__FN(drl__matmul)(rows, tokens, c, q + first * 3 * c, 3 * c, 1, keys, tokens, scores, tokens, 0);
        for (i = 0; i < rows; ++i) DRL__FN(drl__softmax)(scores + i * tokens, tokens, a->scale);
        DRL__FN(drl__matmul)(rows, c, tokens, scores, tokens, 1, v, 3 * c, y, c, 0);
    }
}

/* With the probabilities P and D = dY V': dV = P' dY, dS = scale * P * (D - sum over keys of P * D), dQ =
 * dS K, dK = dS' Q. The sums over queries are continued from block to block. */
DRL__TARGET static void DRL__FN(drl__attention_grad)(const void *arg, size_t begin, size_t end, int job)
{
    const drl__attention_args *a = (const drl__attention_args *)arg;
    size_t tokens = a->tokens, c = a->c, image, first, i, e;
    float *keys = a->scratch + (size_t)job * a->scratch_each, *values = keys + c * tokens;
    float *p = values + c * tokens, *ds = p + DRL__QUERIES * tokens;
    const drl__v scale = drl__vset(a->scale);
    for (image = begin; image < end; ++image) {
        const float *q = a->qkv + image * tokens * 3 * c, *k = q + c, *v = k + c;
        const float *dy = a->dy + image * tokens * c;
        float *dq = a->y + image * tokens * 3 * c, *dk = dq + c, *dv = dk + c;
        DRL__FN(drl__by_channel)(k, tokens, c, keys);
        DRL__FN(drl__by_channel)(v, tokens, c, values);
        for (first = 0; first < tokens; first += DRL__QUERIES) {
            size_t rows = tokens - first < DRL__QUERIES ? tokens - first : DRL__QUERIES, at = first * 3 * c;
            int add = a->accumulate || first;
            DRL__FN(drl__matmul)(rows, tokens, c, q + at, 3 * c, 1, keys, tokens, p, tokens, 0);
            DRL__FN(drl__matmul)(rows, tokens, c, dy + first * c, c, 1, values, tokens, ds, tokens, 0);
            for (i = 0; i < rows; ++i) {
                float *pi = p + i * tokens, *di = ds + i * tokens;
                drl__v mean;
                DRL__FN(drl__softmax)(pi, tokens, a->scale);
                mean = drl__vset(DRL__FN(drl__dot16)(pi, di, tokens));
                for (e = 0; e < tokens; e += DRL__VL) {
                    size_t n = tokens - e;
                    drl__v scaled = drl__vmul(scale, drl__vload_n(pi + e, n));
                    drl__vstore_n(di + e, n, drl__vmul(scaled, drl__vsub(drl__vload_n(di + e, n), mean)));
                }
            }
            DRL__FN(drl__matmul)(rows, c, tokens, ds, tokens, 1, k, 3 * c, dq + at, 3 * c, a->accumulate);
            DRL__FN(drl__matmul)(tokens, c, rows, ds, 1, tokens, q + at, 3 * c, dk, 3 * c, add);
            DRL__FN(drl__matmul)(tokens, c, rows, p, 1, tokens, dy + first * c, c, dv, 3 * c, add);
        }
    }
}

/* Multiply-adds in registers; returns how many floating-point operations these were. */
DRL__TARGET static double DRL__FN(drl__peak)(size_t rounds)
{
    drl__v acc[DRL__MR][DRL__NV], x = drl__vset(0.999f), y = drl__vset(0.001f);
    float t[DRL__VL];
    size_t r;
    int i, j;
    DRL__EACH(i, DRL__MR) DRL__EACH(j, DRL__NV)         /* all different, or the compiler merges them */
        acc[i][j] = drl__vset((float)(i * DRL__NV + j));
    for (r = 0; r < rounds; ++r)
        DRL__EACH(i, DRL__MR) DRL__EACH(j, DRL__NV) acc[i][j] = drl__vfma(acc[i][j], x, y);
    DRL__EACH(i, DRL__MR) DRL__EACH(j, DRL__NV) x = drl__vadd(x, acc[i][j]);
    drl__vstore(t, x);
    return (double)rounds * (2.0 * DRL__MR * DRL__NV * DRL__VL) + (t[0] > 1e30f ? 1.0 : 0.0);
}

static const drl__kernels DRL__FN(drl__table) = {
    DRL__ISA_ID, DRL__VL, DRL__VL * DRL__NV, DRL__MR,
    DRL__SPAN_KERNELS(DRL__SPAN_ENTRY, drl__)
    DRL__FN(drl__dot16), DRL__FN(drl__peak)
};

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#endif
#undef DRL__ISA
#undef DRL__ISA_ID
#undef DRL__TARGET
#undef DRL__VL
#undef DRL__MR
#undef DRL__NV
#undef DRL__FIRST
#undef DRL__REPEAT
#undef DRL__WA
#undef DRL__WB
#undef DRL__WA2
#undef DRL__WB2
#undef DRL__WA3
#undef DRL__WB3
#undef DRL__WN0
#undef DRL__WNA
#undef DRL__WNB
#undef DRL__BY_VECTORS
#undef DRL__ALL
#undef DRL__ZIP512
#undef DRL__MUL64
#undef DRL__SHR32_64
#undef DRL__SHL32_64
#undef DRL__LOW32_64
#undef drl__v
#undef drl__vi
#undef drl__vload
#undef drl__vstore
#undef drl__vload_n
#undef drl__vstore_n
#undef drl__vset
#undef drl__vadd
#undef drl__vsub
#undef drl__vmul
#undef drl__vdiv
#undef drl__vsqrt
#undef drl__vfma
#undef drl__vmax
#undef drl__vmin
#undef drl__vpositive
#undef drl__vpick
#undef drl__vzip_low
#undef drl__vzip_high
#undef drl__viload
#undef drl__viset
#undef drl__viadd
#undef drl__visub
#undef drl__viand
#undef drl__vixor
#undef drl__vishl
#undef drl__vishr
#undef drl__vifloat
#undef drl__vbits
#undef drl__vfrombits
#endif /* DRL__PASS */

/* -----------------------------------------------------------------------------------------------------------
 * [changing] - for whoever carries on.
 *
 * How to add an operator: at most five places. 2x2 max pooling, drl_net_maxpool2, is a short one to copy;
 * the places of any operator are found by its name, grep -in maxpool.
 *
 *   1. [net]              The declaration of its builder.
 *   2. [ops]              Its block. A comment with the equations of the result and of each gradient; the
 *                         shape rule; the forward pass; the gradient by operands; if it has parameters, the
 *                         gradient by them; the row; the builder. What each of these is given and has to do
 *                         is said at drl__op_info, drl__op_call and at the flags DRL__A_FOR_DA and
 *                         following, in [net.impl].
 *   3. tests/test_ops.c   Forward pass and gradients against a loop in double, for sizes that no vector
 *                         divides.
 *   4. tests/test_net.c   The operator in the second interpreter (an entry in the enum, in `build` and in
 *                         `evaluate`), in a graph by hand and in random_graphs: planner, slices and threads
 *                         are then tested with it.
 *   5. tests/test_api.c   A row of bad arguments for the builder; the program fails until there is one.
 *
 * Planner, runner, files, initial values, optimizer and checkpoints ask rows and parameters only, and need
 * no change. Keep in mind that the backward pass finds an operand only if the row's flags ask for it (under
 * AddressSanitizer a wrong flag is seen), and that a sum must not depend on how work is split, or bits
 * depend on the number of threads: split by images, rows or channels, with drl__split.
 *
 * An operator that takes a large part of the time deserves a kernel for all instruction sets. That is a
 * struct of arguments and an entry of DRL__SPAN_KERNELS in [dispatch], and its text in [simd], which also
 * replace a loop in the block: take drl__pool_args and drl__pool as a pattern. `python3 tests/mutate.py
 * --only drl__NAME` breaks its lines by rule, and lists the faults that no test sees. A setting of a
 * new kind is a field of drl__op_settings and drl__op. An operator that Winograd convolutions should take
 * in needs a case in drl__fuse_forward and a field of drl__fused.
 *
 * How to add a field to a description: the member before `canary`, where zero is the good default, with its
 * unit, range and the meaning of zero; and a row in the table of that description (drl__train_fields
 * and its kin; drl__field in [describe] says what a row holds). The row gives the default, the range, the
 * sentence about a value that is not possible, and the text in files. A rule that depends on other fields
 * stands where the description is checked (drl__model_check and its kin). Then a row of wrong values in
 * tests/test_api.c. A table has room for 31 rows.
 *
 * How to add an instruction set: a value of drl_isa and its name in drl_isa_name; in [dispatch] an inclusion
 * with the next DRL__PASS, and a line each in drl__cpu_has and drl__kernels_of; in [simd] the block of that
 * pass, which defines the vectors (drl__v, drl__vload, drl__vfma and so on) and the sides of a tile, and
 * undefines them at the end of the file. No kernel changes. drl__dispatch takes the highest value of drl_isa
 * that the machine has. A fused set must print the first number of tests/CONFORMANCE.md, an unfused one the
 * second; tests/test_ops and tests/test_rng run every set that the machine has.
 *
 * How to add a version of a file: model files, checkpoints and saved states are safetensors whose metadata
 * hold lines of fields, and have no version number. A row appended to drl__model_fields is one: a file holds
 * all rows up to some number, at least DRL__MODEL_FIELDS_MIN, and those that it leaves out take their
 * defaults. Older libraries refuse the longer line. Checkpoints have to hold every row of drl__train_fields
 * and drl__state_fields, since they resume to the bit. So do the states of samplers and chains: every row of
 * drl__sampler_state_fields or drl__mcmc_state_fields, and every tensor of drl__sampler_saved or
 * drl__mcmc_saved. With another row or tensor, earlier checkpoints or states are refused.
 *
 * How random streams are cut up. A draw is a function of (seed, stream, position), and a stream serves one
 * image and one purpose, its position being the element. So no result depends on batches or threads.
 *
 *   drl_net_init         1 << 60 | parameter number. Vectors of power iterations: 3 << 60 | operator number.
 *   samplers             image << 32 | draw, with image = first + i. Draw 0 is the starting noise; each level
 *                        then takes one draw per step, and one for the proposal; 2^31 - 1 is the noise of a
 *                        known image, 2^32 - 1 that on the result for the next pass (resample_from), which
 *                        has a seed of its own. first + count is at most 2^31 - 1.
 *   chains               chain << 32 | step, with chain = first + i; 2^31 - 1 is where a chain starts, and
 *                        steps stay below that. A sampler of the same seed uses the same streams. AIS has
 *                        first = 0, and its pilot runs a seed of its own.
 *   training             2 << 60 + step << 28 + image << 12 + draw. Batches have at most 65535 images, draw
 *                        4095 is the proposal's. Images from 65535.. on are purposes of the whole step:
 *                        DRL__DRAW_DATA (drl__trainer_rng, from which data sets draw one word per image),
 *                        _LEVEL, _LABEL, _AUGMENT and _DROPOUT. Each rollback changes the seed.
 *   ranks                have no seeds or streams of their own. An image's number is that in the whole batch,
 *                        and a stream of the whole step is entered at the position that the images before
 *                        take up: 2 words each for _LEVEL, 1 for _LABEL, 3 for _AUGMENT, 1 for _DATA (2 if
 *                        `balanced`). A source of images draws from group << 32 on. So ranks draw disjoint
 *                        numbers, and those that one rank would.
 *   dropout              the stream of the step, and blocks whose counter has the top bit of word 1 set,
 *                        which no position reaches: 11 bits of operator, 20 of image (counted from the
 *                        position), 32 for 8 elements each.
 *
 * Limits: training ends at 2^32 steps, where its streams would meet those of other purposes. Sampled images
 * from number 2^28 on share streams with drl_net_init; use another seed where that matters.
 *
 * Versions, the newest first. DRL_VERSION_STRING has the number of the newest (tests/install.sh compares).
 *   0.2.0  The first release. Against 0.1, which was not released:
 *        Training in one call, drl_train: falling rate, averaged weights, rollback, checkpoint, resume.
 *        An energy can be a network of the program's own, on a schedule of its own (drl_model_desc.build).
 *        Energies of a U-Net, trained by score matching. Chains start at proposals by the score, every n-th
 *        level can be sampled alone, by steps of any size (drl_sample_desc.proposal, .stride, .b2).
 *        Augmentation by shifts and exchanged colours. drl_net_maxpool2.
 *        The small operators are no longer public functions: networks are built of them.
 *        Descriptions refuse values out of range with a sentence, and are found out when they were not zeroed
 *        (`canary`).
 *        Classes count from 1, in data sets too; 0 is none.
 *        All fused instruction sets give the same bits; FMA128 serves MinGW's gcc. Calls set and restore the
 *        floating-point mode.
 *        Chains, log Z and measures ([mcmc], [metrics]) come last in the file. Each part of [io] and [net]
 *        has a search tag.
 *        Several processes can train one model (drl_train_desc.ranks), to the same bits.
 *        Programs can link one object file (DRL_LINKED). It compiles in half the time.
 *        make install, with a file for pkg-config; DRL_VERSION_PATCH and DRL_VERSION_STRING.
 * -------------------------------------------------------------------------------------------------------- */

/*
 * drl.h is available under two licences; take the one you prefer.
 *
 * ----
 * A. Public domain (www.unlicense.org in spirit)
 *
 * The drl.h contributors give up all copyright in this software, as far as the
 * law allows, and place it in the public domain. Anyone may copy, change,
 * publish, use, compile, sell or give away this software, as source or binary,
 * for any purpose and by any means. It comes as it is, without warranty of any
 * kind; nobody is liable for anything that comes of using it.
 *
 * ----
 * B. MIT licence
 *
 * Copyright (c) 2026 drl.h contributors
 *
 * Permission is hereby granted, free of charge, to any person obtaining a copy
 * of this software and associated documentation files (the "Software"), to deal
 * in the Software without restriction, including without limitation the rights
 * to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
 * copies of the Software, and to permit persons to whom the Software is
 * furnished to do so, subject to the following conditions:
 *
 * The above copyright notice and this permission notice shall be included in all
 * copies or substantial portions of the Software.
 *
 * THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
 * IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
 * FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
 * AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
 * LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
 * OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
 * SOFTWARE.
 */
