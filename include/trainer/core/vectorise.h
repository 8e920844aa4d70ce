#pragma once

/// Put before the definition of a free function whose loops are worth wider vectors: it is compiled for the
/// baseline (AVX2) and for AVX-512, and the processor decides. Contraction is off, so elementwise results
/// have the same bits either way.
// Sanitizers instrument the resolvers of target_clones, which run before the sanitizer is ready.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define TRAINER_VECTORISED __attribute__((target_clones("default", "arch=x86-64-v4")))
#else
#define TRAINER_VECTORISED
#endif
