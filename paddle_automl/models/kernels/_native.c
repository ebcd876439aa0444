/* For AVX-512: the tanh form of GELU, batch normalization with GELU in the same pass, and the gradient of the kernels
 * of 3 x 3 convolutions. oneDNN 3.6 computes the first in three times the time, has no such pass, and needs a fifth
 * to two thirds more time for the last.
 *
 * Called with ctypes (native.py); nothing here knows Python or Paddle. Feature maps are [rows, channels] in memory,
 * float32 or bfloat16; everything per channel is float32. An array is cut into pieces whose number depends on its
 * size alone, and sums are added piece by piece in double precision, so that the number of threads does not change
 * a result.
 *
 * Processing is by blocks of `period` values, the least common multiple of 16 and the number of channels: then lane
 * i of vector v of every block belongs to channel (16 v + i) mod channels, whatever the number of channels is.
 */
#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define PIECES 32       /* of an array, at most: a multiple of usual numbers of threads */
#define SMALLEST 16384  /* values of a piece */
#define CHUNK 4096      /* values that stay in the first cache */

/* 2^t for t <= 120. */
INLINE __m512 power_of_two(__m512 t, int bf16) {
    const __m512 r = _mm512_reduce_ps(t, 0x09); /* t - floor(t) */
    __m512 p;
    if (bf16) { /* largest relative error 8e-5, a fiftieth of a rounding to bfloat16 */
        p = _mm512_fmadd_ps(_mm512_set1_ps(0.07802452f), r, _mm512_set1_ps(0.22606717f));
        p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.69583353f));
        p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.99992522f));
    } else { /* 8e-8 */
        p = _mm512_fmadd_ps(_mm512_set1_ps(0.00187758f), r, _mm512_set1_ps(0.00898934f));
        p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.05582632f));
        p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.24015362f));
        p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.69315307f));
        p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.99999993f));
    }
    return _mm512_scalef_ps(p, t); /* by 2^floor(t) */
}

/* 1 / (1 + exp(-2 u)), u = sqrt(2 / pi) (x + 0.044715 x^3): the tanh form of GELU is x times this. */
INLINE __m512 gate(__m512 x, __m512 square, int bf16) {
    /* -2 sqrt(2 / pi) / log(2), and 0.044715 times it */
    const __m512 slope = _mm512_fmadd_ps(square, _mm512_set1_ps(-0.10294324f), _mm512_set1_ps(-2.3022082f));
    const __m512 t = _mm512_min_ps(_mm512_mul_ps(x, slope), _mm512_set1_ps(120.0f));
    const __m512 d = _mm512_add_ps(power_of_two(t, bf16), _mm512_set1_ps(1.0f));
    __m512 r = _mm512_rcp14_ps(d);
    if (!bf16) r = _mm512_mul_ps(r, _mm512_fnmadd_ps(d, r, _mm512_set1_ps(2.0f)));
    return r;
}

INLINE __m512 gelu(__m512 x, int bf16) { return _mm512_mul_ps(x, gate(x, _mm512_mul_ps(x, x), bf16)); }

/* s + x s (1 - s) 2 u' with the gate s; 2 u' = 2 sqrt(2 / pi) (1 + 3 0.044715 x^2) */
INLINE __m512 gelu_slope(__m512 x, int bf16) {
    const __m512 square = _mm512_mul_ps(x, x), s = gate(x, square, bf16);
    const __m512 slope = _mm512_fmadd_ps(square, _mm512_set1_ps(0.21406590f), _mm512_set1_ps(1.5957691f));
    /* Where s is 0 or 1, x may be large: x u' times 0 has to be 0. */
    const __m512 rest = _mm512_fnmadd_ps(s, s, s);
    return _mm512_fmadd_ps(_mm512_mul_ps(x, slope), rest, s);
}

INLINE __m512 load(const void *from, long i, int bf16, __mmask16 mask) {
    if (bf16) {
        const __m256i half = _mm256_maskz_loadu_epi16(mask, (const uint16_t *)from + i);
        return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
    }
    return _mm512_maskz_loadu_ps(mask, (const float *)from + i);
}

INLINE void store(void *to, long i, __m512 value, int bf16, __mmask16 mask) {
    if (bf16)
        _mm256_mask_storeu_epi16((uint16_t *)to + i, mask, (__m256i)_mm512_cvtneps_pbh(value));
    else
        _mm512_mask_storeu_ps((float *)to + i, mask, value);
}

enum { STATISTICS, APPLY, GELU, GELU_GRADIENT, GELU_BIAS, REDUCE, FINISH };

typedef struct {
    const void *x, *dy;
    void *y;
    long size, channels, period;
    /* Per lane of a block [period]: factors of the values, what is added, and what is subtracted before. */
    float *factor, *offset, *center;
    float *sums; /* [pieces, 2, period] */
    int pieces;
} Job;

INLINE void step(const Job *j, int op, int bf16, long i, __mmask16 mask, __m512 a, __m512 b, __m512 c, __m512 *s,
                 __m512 *q) {
    const __m512 x = load(j->x, i, bf16, mask);
    __m512 d, g;
    switch (op) {
    case STATISTICS:
        d = _mm512_maskz_sub_ps(mask, x, c);
        *s = _mm512_add_ps(*s, d);
        *q = _mm512_fmadd_ps(d, d, *q);
        break;
    case APPLY: store(j->y, i, gelu(_mm512_fmadd_ps(x, a, b), bf16), bf16, mask); break;
    case GELU: store(j->y, i, gelu(x, bf16), bf16, mask); break;
    case GELU_GRADIENT:
        store(j->y, i, _mm512_mul_ps(load(j->dy, i, bf16, mask), gelu_slope(x, bf16)), bf16, mask);
        break;
    case GELU_BIAS: *s = _mm512_fmadd_ps(load(j->dy, i, bf16, mask), gelu_slope(x, bf16), *s); break;
    case REDUCE:
        g = _mm512_mul_ps(load(j->dy, i, bf16, mask), gelu_slope(_mm512_fmadd_ps(x, a, b), bf16));
        store(j->y, i, g, bf16, mask);
        *s = _mm512_add_ps(*s, g);
        *q = _mm512_fmadd_ps(g, _mm512_sub_ps(x, c), *q);
        break;
    case FINISH: /* a g + b + offset of x, whose factor is in `s` */
        g = _mm512_fmadd_ps(load(j->dy, i, bf16, mask), a, b);
        store(j->y, i, _mm512_fmadd_ps(_mm512_sub_ps(x, c), *s, g), bf16, mask);
        break;
    }
}

INLINE void piece(const Job *j, int op, int bf16, int number) {
    const long period = j->period, blocks = j->size / period, rest = j->size % period;
    const long first = blocks * number / j->pieces, last = blocks * (number + 1) / j->pieces;
    const long step_blocks = period < CHUNK ? CHUNK / period : 1;
    const int channelwise = op != GELU && op != GELU_GRADIENT;
    const int sums = op == STATISTICS || op == GELU_BIAS || op == REDUCE;
    float *own = j->sums ? j->sums + 2 * period * number : NULL;
    const __m512 zero = _mm512_setzero_ps();
    long begin = first;
    do { /* once for a piece without blocks, which may have the rest */
        const long end = begin + step_blocks < last ? begin + step_blocks : last;
        for (long v = 0; v < period; v += 16) {
            __m512 a = zero, b = zero, c = zero, s = zero, q = zero, s2 = zero, q2 = zero;
            if (channelwise && op != GELU_BIAS) {
                a = _mm512_loadu_ps(j->factor + v);
                b = _mm512_loadu_ps(j->offset + v);
                c = _mm512_loadu_ps(j->center + v);
            }
            if (op == FINISH) s = s2 = _mm512_loadu_ps(j->sums + v);
            long r = begin;
            for (; r + 1 < end; r += 2) {
                step(j, op, bf16, r * period + v, 0xFFFF, a, b, c, &s, &q);
                step(j, op, bf16, (r + 1) * period + v, 0xFFFF, a, b, c, &s2, &q2);
            }
            if (r < end) step(j, op, bf16, r * period + v, 0xFFFF, a, b, c, &s, &q);
            if (end == last && number == j->pieces - 1 && v < rest) {
                const long left = rest - v;
                const __mmask16 mask = left >= 16 ? 0xFFFF : (__mmask16)((1u << left) - 1);
                step(j, op, bf16, blocks * period + v, mask, a, b, c, &s2, &q2);
            }
            if (sums) {
                _mm512_storeu_ps(own + v, _mm512_add_ps(_mm512_loadu_ps(own + v), _mm512_add_ps(s, s2)));
                _mm512_storeu_ps(own + period + v,
                                 _mm512_add_ps(_mm512_loadu_ps(own + period + v), _mm512_add_ps(q, q2)));
            }
        }
        begin += step_blocks;
    } while (begin < last);
}

#define CASE(op)                                         \
    case op:                                             \
        if (bf16) piece(j, op, 1, number);               \
        else piece(j, op, 0, number);                    \
        break;

static void run_piece(const Job *j, int op, int bf16, int number) {
    switch (op) {
        CASE(STATISTICS) CASE(APPLY) CASE(GELU) CASE(GELU_GRADIENT) CASE(GELU_BIAS) CASE(REDUCE) CASE(FINISH)
    }
}

static void run(const Job *j, int op, int bf16) {
#pragma omp parallel for schedule(static) if (j->pieces > 1)
    for (int number = 0; number < j->pieces; number++) run_piece(j, op, bf16, number);
}

static long period_of(long channels) {
    long a = channels, b = 16;
    while (b) {
        const long t = a % b;
        a = b;
        b = t;
    }
    return channels / a * 16;
}

/* A job on `size` values, with zeroed vectors and sums; returns what to free, NULL if there is no memory. */
static float *prepare(Job *j, long size, long channels) {
    const long period = period_of(channels);
    long pieces = size / SMALLEST;
    pieces = pieces < 1 ? 1 : pieces > PIECES ? PIECES : pieces;
    memset(j, 0, sizeof *j);
    j->size = size, j->channels = channels, j->period = period, j->pieces = (int)pieces;
    float *memory = calloc((size_t)(period * (3 + 2 * pieces)), sizeof(float));
    if (!memory) return NULL;
    j->factor = memory, j->offset = memory + period, j->center = memory + 2 * period;
    j->sums = memory + 3 * period;
    return memory;
}

/* The sums of a channel over all pieces and lanes: the first or second kind. */
static double total(const Job *j, int kind, long channel) {
    double found = 0;
    for (int number = 0; number < j->pieces; number++) {
        const float *own = j->sums + (2 * number + kind) * j->period;
        for (long lane = channel; lane < j->period; lane += j->channels) found += own[lane];
    }
    return found;
}

static void spread(const Job *j) {
    for (long i = j->channels; i < j->period; i++) {
        j->factor[i] = j->factor[i - j->channels];
        j->offset[i] = j->offset[i - j->channels];
        j->center[i] = j->center[i - j->channels];
    }
}

static float first_value(const void *x, long i, int bf16) {
    if (!bf16) return ((const float *)x)[i];
    const uint32_t bits = (uint32_t)((const uint16_t *)x)[i] << 16;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

/* The interface; native.py refuses another one. */
int paddle_automl_native(void) { return 4; }

/* y = gelu(x) */
int gelu_forward(int bf16, long size, const void *x, void *y) {
    Job j;
    float *memory = prepare(&j, size, 16);
    if (!memory) return 1;
    j.x = x, j.y = y;
    run(&j, GELU, bf16);
    free(memory);
    return 0;
}

/* dx = gelu'(x) dy */
int gelu_backward(int bf16, long size, const void *x, const void *dy, void *dx) {
    Job j;
    float *memory = prepare(&j, size, 16);
    if (!memory) return 1;
    j.x = x, j.dy = dy, j.y = dx;
    run(&j, GELU_GRADIENT, bf16);
    free(memory);
    return 0;
}

/* dbias [channels] = the sum of gelu'(x) dy over rows */
int gelu_bias(int bf16, long rows, long channels, const void *x, const void *dy, float *dbias) {
    Job j;
    float *memory = prepare(&j, rows * channels, channels);
    if (!memory) return 1;
    j.x = x, j.dy = dy;
    run(&j, GELU_BIAS, bf16);
    for (long c = 0; c < channels; c++) dbias[c] = (float)total(&j, 0, c);
    free(memory);
    return 0;
}

/* y = GELU of the batch normalization of x. batch [2, channels] gets mean and 1 / standard deviation; running mean
 * and variance keep `momentum` of their values. */
int norm_forward(int bf16, long rows, long channels, const void *x, void *y, float *batch, const float *scale,
                 const float *shift, float *mean, float *variance, float momentum, float epsilon) {
    Job j;
    float *memory = prepare(&j, rows * channels, channels);
    if (!memory) return 1;
    j.x = x, j.y = y;
    for (long c = 0; c < channels; c++) j.center[c] = first_value(x, c, bf16);
    spread(&j);
    run(&j, STATISTICS, bf16);
    for (long c = 0; c < channels; c++) {
        const double apart = total(&j, 0, c) / rows, found = j.center[c] + apart;
        double spread_of = total(&j, 1, c) / rows - apart * apart;
        if (spread_of < 0) spread_of = 0;
        const double inverse = 1 / sqrt(spread_of + epsilon);
        batch[c] = (float)found, batch[channels + c] = (float)inverse;
        j.factor[c] = (float)(scale[c] * inverse);
        j.offset[c] = (float)(shift[c] - found * scale[c] * inverse);
        mean[c] = momentum * mean[c] + (1 - momentum) * (float)found;
        variance[c] = momentum * variance[c] + (1 - momentum) * (float)spread_of;
    }
    spread(&j);
    run(&j, APPLY, bf16);
    free(memory);
    return 0;
}

/* Gradients of norm_forward: dx, and dscale and dshift [channels]. */
int norm_backward(int bf16, long rows, long channels, const void *x, const void *dy, void *dx, const float *batch,
                  const float *scale, const float *shift, float *dscale, float *dshift) {
    Job j;
    float *memory = prepare(&j, rows * channels, channels);
    if (!memory) return 1;
    j.x = x, j.dy = dy, j.y = dx;
    for (long c = 0; c < channels; c++) {
        j.center[c] = batch[c];
        j.factor[c] = scale[c] * batch[channels + c];
        j.offset[c] = shift[c] - batch[c] * j.factor[c];
    }
    spread(&j);
    run(&j, REDUCE, bf16);
    for (long c = 0; c < channels; c++) {
        const double inverse = batch[channels + c];
        dshift[c] = (float)total(&j, 0, c);
        dscale[c] = (float)(total(&j, 1, c) * inverse);
    }
    float *slope = j.sums; /* of x */
    for (long c = 0; c < channels; c++) {
        const double inverse = batch[channels + c], a = scale[c] * inverse;
        j.factor[c] = (float)a;
        j.offset[c] = (float)(-a * dshift[c] / rows);
        slope[c] = (float)(-a * inverse * dscale[c] / rows);
    }
    spread(&j);
    for (long i = channels; i < j.period; i++) slope[i] = slope[i - channels];
    j.dy = dx; /* which holds the gradient of the normalized values by now */
    run(&j, FINISH, bf16);
    free(memory);
    return 0;
}

/* Gradient of the kernels of 3 x 3 convolutions with stride 1 and a border of 1, bfloat16.
 *
 * dw[kh, kw, i, o] is a sum over pixels of x[h + kh, w + kw, i] dy[h, w, o]. One instruction adds the products of two
 * neighbouring pixels for 16 outputs: it needs dy as pairs of pixels, and a pair of pixels of one channel of x, which
 * lies together, at any shift kw, if x is transposed to [channel, pixel]. Both are rearranged for some images, then
 * 24 vectors of sums stay in registers while the loop runs over all pixels of these images. */

#define FILTER_BYTES 600000 /* of rearranged images: they stay in the second cache */

typedef struct {
    long height, width, in, out, pairs, pitch, plane, line, at_once;
    const uint16_t *x, *dy;
    uint16_t *turned, *paired; /* x as [in, line]; dy as [out / 16, at_once, height, pairs, 16, 2] */
    float *sums;               /* [3, 3, in, out] */
} Filter;

INLINE __m512i pair_of(const uint16_t *a, const uint16_t *b) {
    const __m512i low = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)a));
    if (!b) return low;
    return _mm512_or_si512(low, _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)b)), 16));
}

/* 16 vectors of 16 numbers of 32 bits: number j of vector i becomes number i of vector j, stored `line` bytes apart. */
INLINE void transpose(__m512i a[16], char *to, long line) {
    __m512i b[16];
    for (int i = 0; i < 16; i += 2) {
        b[i] = _mm512_unpacklo_epi32(a[i], a[i + 1]);
        b[i + 1] = _mm512_unpackhi_epi32(a[i], a[i + 1]);
    }
    for (int i = 0; i < 16; i += 4)
        for (int k = 0; k < 2; k++) {
            a[i + 2 * k] = _mm512_unpacklo_epi64(b[i + k], b[i + k + 2]);
            a[i + 2 * k + 1] = _mm512_unpackhi_epi64(b[i + k], b[i + k + 2]);
        }
    for (int i = 0; i < 4; i++) {
        b[i] = _mm512_shuffle_i32x4(a[i], a[i + 4], 0x88);
        b[i + 4] = _mm512_shuffle_i32x4(a[i], a[i + 4], 0xdd);
        b[i + 8] = _mm512_shuffle_i32x4(a[i + 8], a[i + 12], 0x88);
        b[i + 12] = _mm512_shuffle_i32x4(a[i + 8], a[i + 12], 0xdd);
    }
    for (int i = 0; i < 8; i++) {
        _mm512_storeu_si512(to + i * line, _mm512_shuffle_i32x4(b[i], b[i + 8], 0x88));
        _mm512_storeu_si512(to + (i + 8) * line, _mm512_shuffle_i32x4(b[i], b[i + 8], 0xdd));
    }
}

/* 32 pixels of 16 channels, `stride` values apart, to 16 lines of 32 pixels. */
INLINE void turn(const uint16_t *from, long stride, uint16_t *to, long line) {
    __m512i a[16];
    for (int i = 0; i < 16; i++) a[i] = pair_of(from + 2 * i * stride, from + (2 * i + 1) * stride);
    transpose(a, (char *)to, 2 * line);
}

/* `border` [plane, in] is zero outside of the image and stays so. */
static void rearrange(const Filter *f, long image, long place, uint16_t *border) {
    const uint16_t *x = f->x + image * f->height * f->width * f->in;
    for (long h = 0; h < f->height; h++)
        memcpy(border + ((h + 1) * f->pitch + 1) * f->in, x + h * f->width * f->in, (size_t)(f->width * f->in * 2));
    for (long p = 0; p < f->plane; p += 32)
        for (long c = 0; c < f->in; c += 16)
            turn(border + p * f->in + c, f->in, f->turned + c * f->line + place * f->plane + p, f->line);
    const uint16_t *dy = f->dy + image * f->height * f->width * f->out;
    for (long o = 0; o < f->out; o += 16) {
        uint16_t *to = f->paired + (o / 16 * f->at_once + place) * f->height * f->pairs * 32;
        for (long h = 0; h < f->height; h++)
            for (long w = 0; w < f->width; w += 2, to += 32) {
                const uint16_t *from = dy + (h * f->width + w) * f->out + o;
                _mm512_storeu_si512(to, pair_of(from, w + 1 < f->width ? from + f->out : NULL));
            }
    }
}

/* Adds to (`fresh`: sets) the sums of `channels` channels from `i` and 16 `wide` outputs from `o`, for row kh of the
 * kernel. */
INLINE void gather(const Filter *f, long count, long i, long o, long kh, const int channels, const int wide,
                   int fresh) {
    __m512 sums[24];
    for (int k = 0; k < 24; k++) sums[k] = _mm512_setzero_ps();
    const long step = f->at_once * f->height * f->pairs * 32;
    const uint16_t *first = f->paired + o / 16 * step;
    const uint16_t *lines = f->turned + i * f->line + kh * f->pitch;
    for (long g = 0; g < count; g++, lines += f->plane) {
        const uint16_t *row = lines;
        for (long h = 0; h < f->height; h++, row += f->pitch)
            for (long j = 0; j < f->pairs; j++, first += 32) {
                const __m512bh d0 = (__m512bh)_mm512_loadu_si512(first);
                const __m512bh d1 = wide == 2 ? (__m512bh)_mm512_loadu_si512(first + step) : d0;
#pragma GCC unroll 8
                for (int c = 0; c < channels; c++)
#pragma GCC unroll 3
                    for (int kw = 0; kw < 3; kw++) {
                        int32_t both;
                        memcpy(&both, row + c * f->line + 2 * j + kw, 4);
                        const __m512bh pair = (__m512bh)_mm512_set1_epi32(both);
                        const int k = (c * 3 + kw) * wide;
                        sums[k] = _mm512_dpbf16_ps(sums[k], d0, pair);
                        if (wide == 2) sums[k + 1] = _mm512_dpbf16_ps(sums[k + 1], d1, pair);
                    }
            }
    }
    for (int c = 0; c < channels; c++)
        for (int kw = 0; kw < 3; kw++)
            for (int v = 0; v < wide; v++) {
                float *to = f->sums + ((kh * 3 + kw) * f->in + i + c) * f->out + o + 16 * v;
                const __m512 found = sums[(c * 3 + kw) * wide + v];
                _mm512_storeu_ps(to, fresh ? found : _mm512_add_ps(_mm512_loadu_ps(to), found));
            }
}

/* dw [out, in, 3, 3] from x [images, height, width, in] and dy [images, height, width, out]; in and out are
 * multiples of 16. */
int filter_gradient(long images, long height, long width, long in, long out, const uint16_t *x, const uint16_t *dy,
                    float *dw) {
    Filter f = {.height = height, .width = width, .in = in, .out = out, .x = x, .dy = dy};
    f.pairs = (width + 1) / 2, f.pitch = 2 * f.pairs + 2;
    f.plane = ((height + 2) * f.pitch + 31) / 32 * 32;
    const long turned = in * f.plane, paired = height * f.pairs * out * 2, all = 9 * in * out;
    const long room = FILTER_BYTES > 8 * all ? FILTER_BYTES : 8 * all;
    f.at_once = room / (2 * (turned + paired));
    f.at_once = f.at_once < 1 ? 1 : f.at_once > images ? images : f.at_once;
    f.line = f.at_once * f.plane + 32; /* not a multiple of 4096 bytes: lines would share places in the cache */
    f.turned = aligned_alloc(64, (size_t)(in * f.line * 2 + 63) / 64 * 64);
    f.paired = aligned_alloc(64, (size_t)(f.at_once * paired * 2 + 63) / 64 * 64);
    f.sums = malloc((size_t)all * sizeof(float));
    int missing = !f.turned || !f.paired || !f.sums;
    const int wide = out % 32 ? 1 : 2, channels = wide == 2 ? 4 : 8;
    const long parts = in / channels, tasks = out / 16 / wide * parts;
    if (!missing) {
#pragma omp parallel reduction(| : missing)
        {
            uint16_t *border = calloc((size_t)(f.plane * in), 2);
            missing |= !border;
            for (long begin = 0; begin < images; begin += f.at_once) {
                const long count = begin + f.at_once < images ? f.at_once : images - begin;
#pragma omp for schedule(static)
                for (long g = 0; g < count; g++)
                    if (border) rearrange(&f, begin + g, g, border);
#pragma omp for schedule(static)
                for (long task = 0; task < tasks; task++)
                    for (long kh = 0; kh < 3; kh++) {
                        const long o = task / parts * 16 * wide, i = task % parts * channels;
                        if (wide == 2) gather(&f, count, i, o, kh, 4, 2, !begin);
                        else gather(&f, count, i, o, kh, 8, 1, !begin);
                    }
            }
            free(border);
#pragma omp for schedule(static)
            for (long o = 0; o < out; o += 16)
                for (long q = 0; q < 9 * in; q += 16) { /* places (channel, tap) of dw */
                    __m512i a[16];
                    for (long k = q; k < q + 16; k++)
                        a[k - q] = _mm512_loadu_si512(f.sums + (k % 9 * in + k / 9) * out + o);
                    transpose(a, (char *)(dw + o * in * 9 + q), in * 9 * 4);
                }
        }
    }
    free(f.turned);
    free(f.paired);
    free(f.sums);
    return missing;
}
