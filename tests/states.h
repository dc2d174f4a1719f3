/* states.h - saved states of samplers and chains, and states that somebody has changed. After drl.h. */
#ifndef STATES_H
#define STATES_H
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct saved_state {
    unsigned char *bytes;           /* of malloc */
    size_t size;
} saved_state;

static inline saved_state state_room(size_t size)
{
    saved_state s;
    s.bytes = (unsigned char *)malloc(size + 1);
    s.size = size;
    if (!s.bytes) exit(3);
    return s;
}

/* One word of a save function and of its object: sampler or mcmc. */
#define STATE_OF(kind, object, out)                                                     \
    do {                                                                                \
        size_t size_ = 0;                                                               \
        if (drl_##kind##_save(object, NULL, 0, &size_) != DRL_OK) exit(3);              \
        *(out) = state_room(size_);                                                     \
        if (drl_##kind##_save(object, (out)->bytes, size_, &size_) != DRL_OK) exit(3);  \
        if (size_ != (out)->size) exit(3);                                              \
    } while (0)

static inline saved_state state_of_sampler(const drl_sampler *sampler)
{
    saved_state s;
    STATE_OF(sampler, sampler, &s);
    return s;
}

static inline saved_state state_of_chains(const drl_mcmc *chains)
{
    saved_state s;
    STATE_OF(mcmc, chains, &s);
    return s;
}

static inline void state_free(saved_state *s) { free(s->bytes); }

static inline int states_equal(const saved_state *a, const saved_state *b)
{
    return a->size == b->size && !memcmp(a->bytes, b->bytes, a->size);
}

static inline saved_state state_copy(const saved_state *s)
{
    saved_state copy = state_room(s->size);
    memcpy(copy.bytes, s->bytes, s->size);
    return copy;
}

/* Bytes before the tensors: the length of the header, and the header. */
static inline size_t state_header(const saved_state *s)
{
    size_t length = 0, i;
    for (i = 8; i-- > 0;) length = length << 8 | s->bytes[i];
    return 8 + length;
}

/* A copy in which the first `from` of the header is `to`. */
static inline saved_state state_with(const saved_state *s, const char *from, const char *to)
{
    size_t header = state_header(s), old = strlen(from), n = strlen(to), at = 8, length, i;
    saved_state copy = state_room(s->size - old + n);
    while (at + old <= header && memcmp(s->bytes + at, from, old)) ++at;
    if (at + old > header) {
        printf("states.h: no %s in the state\n", from);
        exit(3);
    }
    memcpy(copy.bytes, s->bytes, at);
    memcpy(copy.bytes + at, to, n);
    memcpy(copy.bytes + at + n, s->bytes + at + old, s->size - at - old);
    length = header - 8 - old + n;
    for (i = 0; i < 8; ++i) copy.bytes[i] = (unsigned char)((uint64_t)length >> 8 * i & 255);
    return copy;
}

/* A copy in which a field of the description has this text. */
static inline saved_state state_with_field(const saved_state *s, const char *field, const char *value)
{
    char from[96], to[96], head[64];
    size_t header = state_header(s), at = 8, n, i;
    for (i = 0; i < 2; ++i) {                       /* behind another field, or the first one */
        n = (size_t)snprintf(head, sizeof head, "%c%s=", i ? '"' : ' ', field);
        for (at = 8; at + n <= header && memcmp(s->bytes + at, head, n); ++at) { }
        if (at + n <= header) break;
    }
    if (at + n > header) {
        printf("states.h: no field %s in the state\n", field);
        exit(3);
    }
    snprintf(to, sizeof to, "%s%s", head, value);
    while (s->bytes[at + n] != ' ' && s->bytes[at + n] != '"') ++n;
    snprintf(from, sizeof from, "%.*s", (int)n, (const char *)s->bytes + at);
    return state_with(s, from, to);
}

/* Where a tensor of the state has its data. */
static inline unsigned char *state_tensor(drl_ctx *ctx, const saved_state *s, const char *name)
{
    drl_safetensors *st = NULL;
    const drl_array *a;
    unsigned char *data;
    if (drl_safetensors_open_memory(ctx, s->bytes, s->size, &st) != DRL_OK) exit(3);
    a = drl_safetensors_find(st, name);
    if (!a) {
        printf("states.h: no tensor %s in the state\n", name);
        exit(3);
    }
    data = s->bytes + ((const unsigned char *)a->data - s->bytes);
    drl_safetensors_close(st);
    return data;
}
#endif
