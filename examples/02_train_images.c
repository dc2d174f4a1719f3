/* 02_train_images.c - the main job: train an energy-based model on images, watch it learn, stop and go on at
 * any time.
 *
 * Shows: data sets of four formats, training with its report, grids from the averaged weights, checkpoints,
 * rollback.
 *
 *     cc -O2 -DDRL_THREADS examples/02_train_images.c -o train_images -lm
 *     ./train_images                                      # embedded sprites, 16 x 16 RGBA; 10 minutes
 *     ./train_images --data IMAGES [--data LABELS ...]    # IDX, CIFAR binary, NPY or netpbm files
 *     ./train_images --data FOLDER                        # of PGM, PPM and PAM; sub-folders are classes
 *
 * What files do not say about themselves:
 *   --shape HxWxC (of rows, or of a single image)  --layout nchw (channels first)
 *   --tile HxW (images are sheets, to be cut into such tiles; those of nothing are left out)
 *   --range LOW:HIGH (the elements that mean black and white)  --labels coarse (of CIFAR-100)
 *   --size N (images are averaged down to N x N, or padded; else padded to the next multiple of 8)
 *   --half (images at half their size)
 *   --only CLASS (its images alone, without labels; classes are counted from 1)
 * Without further options it trains energies of a U-Net by score matching, and a network that proposes where
 * chains start; many levels, three short steps on each (12 levels up to 16 x 16, 24 above, of the shifted
 * schedule); and it learns the labels if the files have any. With --initializer -1 the energies themselves
 * propose. No chain runs while it trains, so none can run away. The published settings, with --classes where
 * labels are to be learned, are
 *   --cdrl   the cooperative form, 6 levels of 15 steps; add --target -1 for the published target
 *   --drl    the plain form, without an initializer network: 6 levels of 30 steps
 * (on the embedded sprites both get --noise 0.05, as their colours are flat; --noise -1 for none)
 *   --t1k    1000 levels, K = 0, trained by score matching: densities, see 08 and 09
 * Small sets: --flip (mirrored)  --shift N (moved by up to N pixels)  --palette (colour channels exchanged)
 *   --balanced (each class equally often, whatever their counts)
 * Options: --no-classes  --shifted (the shifted schedule)  --levels N  --k N (Langevin steps)  --b2 X (their
 *   size)  --base N (width of the energy)  --blocks N  --initializer N (width)  --batch N (16 up to 16 x 16,
 *   else 32)  --lr X  --initializer-lr X  --target L (data's share in what the initializer learns; -1: none)
 *   --warmup N  --noise X (on the data)  --steps N or --minutes X  --every N (steps from save to save)
 *   --seed N  --out PREFIX  --f16 (a model file of half the bytes)  --resume  --threads N  --isa NAME
 *   --log FILE (its numbers, a JSON object a line, every --log-every N steps, or 50: 15_plot_log draws them)
 * With --classes the picture has a column for each class, drawn with a guidance weight of 0.5.
 * Writes PREFIX.png (or .ppm), PREFIX.checkpoint and PREFIX.safetensors after 8 seconds, 30, 60, and then
 * every minute; the picture is rarer where it takes long. Ctrl-C finishes the step, saves all three and ends.
 * --resume, with the same --data, then goes on bit for bit to the end that the run had, or to --steps or
 * --minutes, if they are given.
 */
#define DRL_STATIC          /* one file: what it does not call is left out */
#define DRL_IMPLEMENTATION
#include "../drl.h"
#include "picture.h"
#include "data.h"

static const char usage[] =
    "train_images [--cdrl | --drl | --t1k] [--classes | --no-classes] [--shifted] [--balanced]\n"
    "      " TRAINING_USAGE "\n      " DATA_USAGE "\n      [--threads N] [--isa NAME]\n";

int main(int argc, char **argv)
{
    options o = options_of(argc, argv);
    int cdrl = option_flag(&o, "--cdrl"), drl = option_flag(&o, "--drl"), t1k = option_flag(&o, "--t1k"),
        classes = option_flag(&o, "--classes"), no_classes = option_flag(&o, "--no-classes"), up_to_16;
    data_set set = data_options(&o);
    drl_model_desc *d;
    drl_status status;
    training t;
    int failed;
    memset(&t, 0, sizeof t);
    d = &t.model_desc;
    t.ctx = options_context(&o);
    t.name = "training";
    t.data = &set.data;
    t.picture = training_picture;
    t.user = &t;
    t.run.balanced = option_flag(&o, "--balanced");
    if (option_flag(&o, "--shifted")) d->schedule = DRL_SCHEDULE_SHIFTED;
    training_options(&o, &t, "model", 10);
    if (options_rest(&o, usage) || cdrl + drl + t1k > 1 || classes + no_classes > 1) {
        fprintf(stderr, "at most one of the three forms, one of the two words on classes, no others:\n%s",
                usage);
        return 2;
    }
    if (t.run.balanced && !set.file.count) {
        fprintf(stderr, "--balanced: the embedded sprites are balanced; give --data with labels\n");
        return 2;
    }
    if (!data_open(t.ctx, &set, 1, 4000, SPRITE_CLASSES)) return 1;

    if (!drl && !t1k) d->form = DRL_FORM_CDRL;
    /* the sprites' colours are flat: without noise on them chains run away (drl_train_desc) */
    if ((cdrl || drl) && !set.file.count && t.train_desc.data_noise == 0)
        t.train_desc.data_noise = SPRITE_NOISE;
    if (t1k) {
        d->schedule = DRL_SCHEDULE_T1K;
        /* score matching needs gradients that change, and steep ones near the data */
        d->silu = d->no_spectral = 1;
        t.train_desc.objective = DRL_OBJECTIVE_SCORE;
        /* there are no chains that momentum could drive away */
        t.train_desc.beta1 = 0.9f;
    }
    if (!cdrl && !drl && !t1k) {            /* good pictures in minutes: many levels, few steps on each */
        d->energy_form = DRL_ENERGY_UNET;
        data_sides(&set, d);
        up_to_16 = d->height <= 16 && d->width <= 16;
        if (!d->levels) d->levels = up_to_16 ? 12 : 24;
        if (d->levels >= 12) {                                  /* with fewer the shift makes samples worse */
            d->schedule = DRL_SCHEDULE_SHIFTED;
            if (!d->steps) d->steps = 3;
        }
        /* twice the steps: bench/RESULTS.md, A few hundred sprites */
        if (up_to_16 && !t.train_desc.batch) t.train_desc.batch = 16;
        if (up_to_16 && t.train_desc.initializer_rate == 0) t.train_desc.initializer_rate = 2e-3f;
        if (set.file.count && set.data.labels && !no_classes) classes = 1;
    }
    if (classes && !set.data.labels) {
        fprintf(stderr, "--classes: the data has no labels\n");
        return 2;
    }
    if (classes) d->classes = set.data.classes;

    status = data_train(&set, &t, -1);
    failed = training_failure(&t, status);
    drl_model_destroy(t.model);
    data_close(&set);
    drl_ctx_destroy(t.ctx);
    return failed;
}
