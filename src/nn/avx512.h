#pragma once

// Whether this build has kernels of our own for AVX-512. Private to this room.

#if defined(__x86_64__) && defined(__GNUC__)
#define TRAINER_HAS_AVX512_KERNEL 1
#else
#define TRAINER_HAS_AVX512_KERNEL 0
#endif
