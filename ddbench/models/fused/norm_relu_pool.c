/* Instance norm, ReLU and 2x2 average pooling of one plane (an image's channel) at a time, while it is in the cache.

   x [m = h w]: the plane; gain, bias: of its channel; mean, rstd = 1 / sqrt(variance + eps): of the plane.

       n = (x - mean) rstd      u = gain n + bias      out = pool(max(u, 0)), [h/2 w/2]; an odd last row or column is left out

   Every function takes all planes [images x channels], one after the other; no sum crosses a plane, so that results do not
   depend on the number of threads. Each comes in float (_f32) and in double (_f64). It returns 0, or 1 if there is no memory. */

#ifndef REAL

#include <math.h>
#include <stddef.h>
#include <stdlib.h>

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
