/* The most multiplications with addition that the processor does: nothing but those, in registers, on so many threads.
   Prints GFLOP/s. Compiled and run by bench.py embed. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#ifdef __AVX512F__
#define WIDTH 16       /* numbers in the widest register */
#else
#define WIDTH 8
#endif
#define CHAINS 12      /* sums that do not wait for each other */
#define ROUNDS 40000000L

typedef float numbers __attribute__((vector_size(4 * WIDTH)));

static void *work(void *result)
{
    numbers sums[CHAINS], factor, term;
    for (int i = 0; i < WIDTH; i++) factor[i] = 0.999f, term[i] = 0.001f;
    for (int chain = 0; chain < CHAINS; chain++) sums[chain] = term * (float)chain;
    for (long round = 0; round < ROUNDS; round++) {
#pragma GCC unroll 12
        for (int chain = 0; chain < CHAINS; chain++) sums[chain] = sums[chain] * factor + term;
    }
    float all = 0;
    for (int chain = 0; chain < CHAINS; chain++)
        for (int i = 0; i < WIDTH; i++) all += sums[chain][i];
    *(float *)result = all; /* or the compiler would leave the loop out */
    return NULL;
}

int main(int count, char **arguments)
{
    int threads = count > 1 ? atoi(arguments[1]) : 1;
    pthread_t *ids = malloc(threads * sizeof *ids);
    float *results = malloc(threads * sizeof *results);
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (int i = 0; i < threads; i++) pthread_create(&ids[i], NULL, work, &results[i]);
    for (int i = 0; i < threads; i++) pthread_join(ids[i], NULL);
    clock_gettime(CLOCK_MONOTONIC, &end);
    double seconds = (end.tv_sec - start.tv_sec) + 1e-9 * (end.tv_nsec - start.tv_nsec);
    printf("%.1f %g\n", 2.0 * WIDTH * CHAINS * ROUNDS * threads / seconds / 1e9, results[0]);
    return 0;
}
