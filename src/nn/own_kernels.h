#pragma once

// Whether this build has kernels of our own for AVX-512 and for AVX2. Private to this room.

#if defined(__x86_64__) && defined(__GNUC__)
#define TRAINER_HAS_AVX512_KERNEL 1
#else
#define TRAINER_HAS_AVX512_KERNEL 0
#endif

#if defined(__AVX2__) && defined(__FMA__)
#define TRAINER_HAS_AVX2_KERNEL 1
#else
#define TRAINER_HAS_AVX2_KERNEL 0
#endif
