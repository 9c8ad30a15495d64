/* Instance norm, ReLU and 2x2 average pooling of one plane (an image's channel) at a time, while it is in the cache.

   x [m = h w]: the plane; gain, bias: of its channel; mean, rstd = 1 / sqrt(variance + eps): of the plane.

       n = (x - mean) rstd      u = gain n + bias      out = pool(max(u, 0)), [h/2 w/2]; an odd last row or column is left out

   Every function takes all planes [images x channels], one after the other; no sum crosses a plane, so that results do not
   depend on the number of threads. Each comes in float (_f32) and in double (_f64). It returns 0, or 1 if there is no memory.
   forward and backward come in bfloat16 (_bf16), too: stored so, with the channels of a pixel side by side, and computed in
   float. */

#ifndef REAL

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define GLUE(name, suffix) name##suffix
#define JOINED(name, suffix) GLUE(name, suffix)
#define NAMED(name) JOINED(name, SUFFIX)
#define INLINE static inline __attribute__((always_inline))

/* Loops over planes of the usual sizes are compiled for these. */
#define BY_SIZE(PLANE) \
    if (h == 32 && w == 32) { PLANE(32, 32); } else if (h == 16 && w == 16) { PLANE(16, 16); } \
    else if (h == 14 && w == 14) { PLANE(14, 14); } else if (h == 8 && w == 8) { PLANE(8, 8); } \
    else if (h == 7 && w == 7) { PLANE(7, 7); } else if (h == 4 && w == 4) { PLANE(4, 4); } else { PLANE(h, w); }

/* One scratch buffer a thread; a thread without memory leaves its planes out and says so. */
#define OVER_PLANES(PLANE) \
    const long m = (long)h * w, q = (long)(h / 2) * (w / 2); \
    int lacks = 0; \
    _Pragma("omp parallel num_threads(threads) reduction(|:lacks) if(threads > 1)") \
    { \
        REAL *scratch = malloc(((size_t)m + w) * sizeof(REAL)); \
        lacks |= !scratch; \
        BY_SIZE(PLANE) \
        free(scratch); \
    } \
    return lacks;

#define EACH_PLANE _Pragma("omp for schedule(static)") for (long p = 0; p < planes; p++) if (scratch)

#define REAL float
#define ROOT sqrtf
#define SUFFIX _f32
#include "norm_relu_pool.c"
#undef REAL
#undef ROOT
#undef SUFFIX
#define REAL double
#define ROOT sqrt
#define SUFFIX _f64
#include "norm_relu_pool.c"

typedef uint16_t bf16; /* the upper half of a float */

INLINE float widened(bf16 x)
{
    const uint32_t bits = (uint32_t)x << 16;
    float found;
    memcpy(&found, &bits, sizeof found);
    return found;
}

/* To the nearest, of two the even one. */
INLINE bf16 rounded(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return x != x ? 0x7fc0 : (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

#define SIDE_BY_SIDE 32 /* channels that are worked on together: a cache line of bf16 */
#define EACH for (int k = 0; k < some; k++)

/* The pixels of a pooled one in i-th row and j-th column: places of its upper left one, and from there of all four. */
#define CORNER(i, j) ((2 * (i) * w + 2 * (j)) * channels)
#define FOUR {0, channels, (long)w * channels, (long)(w + 1) * channels}

/* x: [h, w, channels] of an image, of which `some` channels, the first ones, are worked on. */
INLINE void image_forward(const bf16 *restrict x, const float *restrict gain, const float *restrict bias, float eps,
                          bf16 *restrict out, float *restrict mean, float *restrict rstd, int channels, int h, int w, int some)
{
    const long m = (long)h * w, four[4] = FOUR;
    float sum[SIDE_BY_SIDE] = {0}, squares[SIDE_BY_SIDE] = {0}, scale[SIDE_BY_SIDE], shift[SIDE_BY_SIDE];
    long i = 0;
    for (; i + 3 < m; i += 4) EACH {
        const bf16 *here = x + i * channels + k;
        sum[k] += widened(here[0]) + widened(here[channels]) + widened(here[2 * channels]) + widened(here[3 * channels]);
    }
    for (; i < m; i++) EACH sum[k] += widened(x[i * channels + k]);
    EACH sum[k] /= m;
    for (i = 0; i + 3 < m; i += 4) EACH {
        const bf16 *here = x + i * channels + k;
        const float a = widened(here[0]) - sum[k], b = widened(here[channels]) - sum[k];
        const float c = widened(here[2 * channels]) - sum[k], d = widened(here[3 * channels]) - sum[k];
        squares[k] += a * a + b * b + c * c + d * d;
    }
    for (; i < m; i++) EACH squares[k] += (widened(x[i * channels + k]) - sum[k]) * (widened(x[i * channels + k]) - sum[k]);
    EACH {
        mean[k] = sum[k];
        rstd[k] = 1 / sqrtf(squares[k] / m + eps);
        scale[k] = rstd[k] * gain[k];
        shift[k] = bias[k] - sum[k] * scale[k];
    }
    for (i = 0; i < h / 2; i++) for (long j = 0; j < w / 2; j++) EACH {
        const bf16 *corner = x + CORNER(i, j) + k;
        float u[4];
        for (int s = 0; s < 4; s++) {
            u[s] = widened(corner[four[s]]) * scale[k] + shift[k];
            u[s] = u[s] <= 0 ? 0 : u[s];
        }
        out[(i * (w / 2) + j) * channels + k] = rounded(0.25f * (u[0] + u[1] + u[2] + u[3]));
    }
}

/* The formulas of plane_backward. */
INLINE void image_backward(const bf16 *restrict dout, const bf16 *restrict x, const float *restrict gain,
                           const float *restrict bias, const float *restrict mean, const float *restrict rstd,
                           bf16 *restrict dx, float *restrict dgain, float *restrict dbias, int channels, int h, int w, int some)
{
    const long m = (long)h * w, four[4] = FOUR;
    float sum[SIDE_BY_SIDE] = {0}, along[SIDE_BY_SIDE] = {0}, constant[SIDE_BY_SIDE], slope[SIDE_BY_SIDE];
    float scale[SIDE_BY_SIDE], shift[SIDE_BY_SIDE], middle[SIDE_BY_SIDE];
    EACH {
        middle[k] = mean[k];
        scale[k] = rstd[k] * gain[k];
        shift[k] = bias[k] - mean[k] * scale[k];
    }
    for (long i = 0; i < h / 2; i++) for (long j = 0; j < w / 2; j++) EACH {
        const bf16 *corner = x + CORNER(i, j) + k;
        const float d = 0.25f * widened(dout[(i * (w / 2) + j) * channels + k]);
        float g[4], from[4];
        for (int s = 0; s < 4; s++) {
            from[s] = widened(corner[four[s]]);
            g[s] = from[s] * scale[k] + shift[k] <= 0 ? 0 : d;
        }
        sum[k] += g[0] + g[1] + g[2] + g[3];
        along[k] += g[0] * (from[0] - middle[k]) + g[1] * (from[1] - middle[k]) + g[2] * (from[2] - middle[k])
                  + g[3] * (from[3] - middle[k]);
    }
    EACH {
        dgain[k] = along[k] * rstd[k];
        dbias[k] = sum[k];
        constant[k] = sum[k] / m;
        slope[k] = dgain[k] / m * rstd[k];
    }
#define DX(g, from) rounded(scale[k] * ((g) - constant[k] - ((from) - middle[k]) * slope[k]))
    for (long i = 0; i < h / 2; i++) for (long j = 0; j < w / 2; j++) EACH {
        const long corner = CORNER(i, j) + k;
        const float d = 0.25f * widened(dout[(i * (w / 2) + j) * channels + k]);
        for (int s = 0; s < 4; s++) {
            const float from = widened(x[corner + four[s]]);
            dx[corner + four[s]] = DX(from * scale[k] + shift[k] <= 0 ? 0 : d, from);
        }
    }
    for (long i = 0; i < h; i++) for (long j = i < h / 2 * 2 ? w / 2 * 2 : 0; j < w; j++) EACH { /* the odd row and column */
        const long here = (i * w + j) * channels + k;
        dx[here] = DX(0, widened(x[here]));
    }
#undef DX
}

/* All groups of channels of all images; loops over a whole group are compiled for its size. */
#define OVER_IMAGES(IMAGE) \
    const long m = (long)h * w, q = (long)(h / 2) * (w / 2), groups = (channels + SIDE_BY_SIDE - 1) / SIDE_BY_SIDE; \
    _Pragma("omp parallel for schedule(static) num_threads(threads) if(threads > 1)") \
    for (long p = 0; p < planes / channels * groups; p++) { \
        const long image = p / groups * channels, c = p % groups * SIDE_BY_SIDE; \
        if (channels - c >= SIDE_BY_SIDE) { IMAGE(SIDE_BY_SIDE); } else { IMAGE((int)(channels - c)); } \
    } \
    return 0;

int forward_bf16(const bf16 *x, const float *gain, const float *bias, double eps, bf16 *out, float *mean, float *rstd,
                 long planes, int channels, int h, int w, int threads)
{
#define IMAGE(SOME) \
    image_forward(x + image * m + c, gain + c, bias + c, (float)eps, out + image * q + c, mean + image + c, rstd + image + c, \
                  channels, h, w, SOME)
    OVER_IMAGES(IMAGE)
#undef IMAGE
}

int backward_bf16(const bf16 *dout, const bf16 *x, const float *gain, const float *bias, const float *mean, const float *rstd,
                  bf16 *dx, float *dgain, float *dbias, long planes, int channels, int h, int w, int threads)
{
#define IMAGE(SOME) \
    image_backward(dout + image * q + c, x + image * m + c, gain + c, bias + c, mean + image + c, rstd + image + c, \
                   dx + image * m + c, dgain + image + c, dbias + image + c, channels, h, w, SOME)
    OVER_IMAGES(IMAGE)
#undef IMAGE
}

#else

INLINE void NAMED(pool)(const REAL *restrict full, REAL *restrict pooled, int h, int w, REAL *restrict row)
{
    for (int i = 0; i < h / 2; i++) {
        const REAL *upper = full + 2 * i * w, *lower = upper + w;
        for (int j = 0; j < w / 2 * 2; j++) row[j] = upper[j] + lower[j];
        for (int j = 0; j < w / 2; j++) pooled[i * (w / 2) + j] = (REAL)0.25 * (row[2 * j] + row[2 * j + 1]);
    }
}

/* The transpose of pool. */
INLINE void NAMED(spread)(const REAL *restrict pooled, REAL *restrict full, int h, int w)
{
    for (int i = 0; i < h / 2; i++) {
        REAL *upper = full + 2 * i * w, *lower = upper + w;
        for (int j = 0; j < w / 2; j++) upper[2 * j] = upper[2 * j + 1] = (REAL)0.25 * pooled[i * (w / 2) + j];
        if (w % 2) upper[w - 1] = 0;
        for (int j = 0; j < w; j++) lower[j] = upper[j];
    }
    if (h % 2) for (int j = 0; j < w; j++) full[(h - 1) * w + j] = 0;
}

INLINE void NAMED(plane_forward)(const REAL *restrict x, REAL gain, REAL bias, REAL eps, REAL *restrict out,
                                 REAL *restrict mean, REAL *restrict rstd, int h, int w, REAL *restrict scratch)
{
    const int m = h * w;
    REAL sum = 0, squares = 0;
#pragma omp simd reduction(+ : sum)
    for (int i = 0; i < m; i++) sum += x[i];
    const REAL middle = sum / m;
#pragma omp simd reduction(+ : squares)
    for (int i = 0; i < m; i++) squares += (x[i] - middle) * (x[i] - middle);
    const REAL r = 1 / ROOT(squares / m + eps), scale = r * gain, shift = bias - middle * scale;
    for (int i = 0; i < m; i++) {
        const REAL u = x[i] * scale + shift;
        scratch[i] = u <= 0 ? 0 : u; /* keeps NaN, as ReLU does */
    }
    NAMED(pool)(scratch, out, h, w, scratch + m);
    *mean = middle;
    *rstd = r;
}

/* d: gradient of u, [m]. With means over the plane:  dx = gain rstd (d - mean(d) - n mean(d n)),
   and the plane's share of the gradients of gain and bias:  sum(d n), sum(d). */
INLINE void NAMED(plane_backward)(const REAL *restrict dout, const REAL *restrict x, REAL gain, REAL bias, REAL mean,
                                  REAL rstd, REAL *restrict dx, REAL *restrict dgain, REAL *restrict dbias, int h, int w,
                                  REAL *restrict d)
{
    const int m = h * w;
    const REAL scale = rstd * gain, shift = bias - mean * scale;
    REAL sum = 0, along = 0;
    NAMED(spread)(dout, d, h, w);
#pragma omp simd reduction(+ : sum, along)
    for (int i = 0; i < m; i++) {
        const REAL n = (x[i] - mean) * rstd;
        d[i] = x[i] * scale + shift <= 0 ? 0 : d[i];
        sum += d[i];
        along += d[i] * n;
    }
    const REAL constant = sum / m, slope = along / m * rstd;
    for (int i = 0; i < m; i++) dx[i] = scale * (d[i] - constant - (x[i] - mean) * slope);
    *dgain = along;
    *dbias = sum;
}

/* P(a) = rstd (a - mean(a) - n mean(a n)) is the derivative of n along a, and its own transpose. */

/* Derivative of the output along a [m] in x and numbers b, c in gain and bias: pool(gain P(a) + b n + c, where u > 0).
   It is the gradient of  S = <dx, a> + dgain b + dbias c  in dout, too. */
INLINE void NAMED(plane_tangent)(const REAL *restrict x, REAL gain, REAL bias, REAL mean, REAL rstd, const REAL *restrict a,
                                 REAL b, REAL c, REAL *restrict along, int h, int w, REAL *restrict scratch)
{
    const int m = h * w;
    const REAL scale = rstd * gain, shift = bias - mean * scale;
    REAL a_sum = 0, a_along = 0;
#pragma omp simd reduction(+ : a_sum, a_along)
    for (int i = 0; i < m; i++) {
        a_sum += a[i];
        a_along += a[i] * (x[i] - mean) * rstd;
    }
    const REAL a_mean = a_sum / m, slope = a_along / m;
    for (int i = 0; i < m; i++) {
        const REAL n = (x[i] - mean) * rstd, found = scale * (a[i] - a_mean - n * slope) + b * n + c;
        scratch[i] = x[i] * scale + shift <= 0 ? 0 : found;
    }
    NAMED(pool)(scratch, along, h, w, scratch + m);
}

/* The gradients of S in x, which is added to dx, and in gain (that in bias is 0):
       gain:  T = sum(d P(a))
       x:     P(e) - T gain rstd / m n,   e = b d - gain rstd / m (d sum(a n) + a sum(d n))    (through n; then rstd) */
INLINE void NAMED(plane_second)(const REAL *restrict dout, const REAL *restrict x, REAL gain, REAL bias, REAL mean, REAL rstd,
                                const REAL *restrict a, REAL b, REAL *restrict dx, REAL *restrict dgain, int h, int w,
                                REAL *restrict d)
{
    const int m = h * w;
    const REAL scale = rstd * gain, shift = bias - mean * scale;
    REAL d_sum = 0, d_along = 0, a_sum = 0, a_along = 0, both = 0;
    NAMED(spread)(dout, d, h, w);
#pragma omp simd reduction(+ : d_sum, d_along, a_sum, a_along, both)
    for (int i = 0; i < m; i++) {
        const REAL n = (x[i] - mean) * rstd;
        d[i] = x[i] * scale + shift <= 0 ? 0 : d[i];
        d_sum += d[i];
        d_along += d[i] * n;
        a_sum += a[i];
        a_along += a[i] * n;
        both += d[i] * a[i];
    }
    const REAL t = rstd * (both - d_sum * a_sum / m - d_along * a_along / m);
    const REAL of_d = b - scale / m * a_along, of_a = -scale / m * d_along;
    const REAL e_sum = of_d * d_sum + of_a * a_sum, e_along = of_d * d_along + of_a * a_along;
    const REAL constant = e_sum / m, slope = (e_along + t * gain) / m * rstd;
    for (int i = 0; i < m; i++) dx[i] += rstd * (of_d * d[i] + of_a * a[i] - constant - (x[i] - mean) * slope);
    *dgain = t;
}

int NAMED(forward)(const REAL *x, const REAL *gain, const REAL *bias, double eps, REAL *out, REAL *mean, REAL *rstd,
                   long planes, int channels, int h, int w, int threads)
{
#define PLANE(H, W) \
    EACH_PLANE NAMED(plane_forward)(x + p * m, gain[p % channels], bias[p % channels], (REAL)eps, out + p * q, mean + p, \
                                    rstd + p, H, W, scratch);
    OVER_PLANES(PLANE)
#undef PLANE
}

int NAMED(backward)(const REAL *dout, const REAL *x, const REAL *gain, const REAL *bias, const REAL *mean, const REAL *rstd,
                    REAL *dx, REAL *dgain, REAL *dbias, long planes, int channels, int h, int w, int threads)
{
#define PLANE(H, W) \
    EACH_PLANE NAMED(plane_backward)(dout + p * q, x + p * m, gain[p % channels], bias[p % channels], mean[p], rstd[p], \
                                     dx + p * m, dgain + p, dbias + p, H, W, scratch);
    OVER_PLANES(PLANE)
#undef PLANE
}

/* b and c: [channels]. */
int NAMED(tangent)(const REAL *x, const REAL *gain, const REAL *bias, const REAL *mean, const REAL *rstd, const REAL *a,
                   const REAL *b, const REAL *c, REAL *along, long planes, int channels, int h, int w, int threads)
{
#define PLANE(H, W) \
    EACH_PLANE NAMED(plane_tangent)(x + p * m, gain[p % channels], bias[p % channels], mean[p], rstd[p], a + p * m, \
                                    b[p % channels], c[p % channels], along + p * q, H, W, scratch);
    OVER_PLANES(PLANE)
#undef PLANE
}

int NAMED(second)(const REAL *dout, const REAL *x, const REAL *gain, const REAL *bias, const REAL *mean, const REAL *rstd,
                  const REAL *a, const REAL *b, REAL *dx, REAL *dgain, long planes, int channels, int h, int w, int threads)
{
#define PLANE(H, W) \
    EACH_PLANE NAMED(plane_second)(dout + p * q, x + p * m, gain[p % channels], bias[p % channels], mean[p], rstd[p], \
                                   a + p * m, b[p % channels], dx + p * m, dgain + p, H, W, scratch);
    OVER_PLANES(PLANE)
#undef PLANE
}

#endif
