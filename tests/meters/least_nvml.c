/* The least libnvidia-ml.so.1 that can measure: one GPU of 250 W, and no function beside these. */
#include <stdio.h>
#include <time.h>

int nvmlInit_v2(void) { return 0; }
int nvmlShutdown(void) { return 0; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 1; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) {
    *handle = (void *)1;
    return index == 0 ? 0 : 2;
}
int nvmlDeviceGetName(void *handle, char *name, unsigned size) {
    (void)handle;
    snprintf(name, size, "Least");
    return 0;
}
int nvmlDeviceGetUUID(void *handle, char *uuid, unsigned size) {
    (void)handle;
    snprintf(uuid, size, "GPU-1");
    return 0;
}
int nvmlDeviceGetTotalEnergyConsumption(void *handle, unsigned long long *energy_mj) {
    struct timespec now;
    (void)handle;
    clock_gettime(CLOCK_MONOTONIC, &now);
    *energy_mj = (now.tv_sec * 1000ull + now.tv_nsec / 10000000 * 10) * 250;
    return 0;
}
int nvmlDeviceGetPowerUsage(void *handle, unsigned *power_mw) {
    (void)handle;
    *power_mw = 250000;
    return 0;
}
