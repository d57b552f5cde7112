/* A libnvidia-ml.so.1 without a GPU, for the real nvidia-ml-py to load in tests.
 *
 * Every call reads the file that FAKE_NVML names, lines of "key=value":
 *   init=RC  count=N  driver=TEXT
 *   gpuI.rc=RC            what every call on GPU I returns (15: lost)
 *   gpuI.energy_rc=RC     what the energy counter returns (3: not supported)
 *   gpuI.energy_mj=N      the counter; without it, power_mw since CLOCK_MONOTONIC's zero,
 *   gpuI.tick_ms=N        in steps of this length
 *   gpuI.instant_mw=N     the field POWER_INSTANT; without it, not supported
 *   gpuI.capability=NN    compute capability, 80 for 8.0; without it, not supported
 *   gpuI.power_mw=N  gpuI.limit_mw=N  gpuI.name=TEXT  gpuI.uuid=TEXT
 *   gpuI.pids=A,B  gpuI.graphics=C  gpuI.pids_rc=RC  gpuI.util=PERCENT
 *   gpuI.throttle=BITS  gpuI.mig=0|1
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef int rc;
enum { OK = 0, NOT_SUPPORTED = 3, INSUFFICIENT_SIZE = 7, NOT_FOUND = 6 };

typedef struct {
    unsigned pid;
    unsigned long long memory;
    unsigned gpu_instance, compute_instance;
} process;

/* A handle is the GPU's index plus one, as a pointer. */
static int index_of(void *handle) { return (int)(size_t)handle - 1; }

static int get(const char *key, char *out, size_t size) {
    char line[512];
    size_t n = strlen(key);
    const char *path = getenv("FAKE_NVML");
    FILE *file = path ? fopen(path, "r") : NULL;
    int found = 0;
    while (file && !found && fgets(line, sizeof line, file)) {
        if (strncmp(line, key, n) == 0 && line[n] == '=') {
            line[strcspn(line, "\n")] = 0;
            snprintf(out, size, "%s", line + n + 1);
            found = 1;
        }
    }
    if (file) fclose(file);
    return found;
}

static int get_of(void *handle, const char *key, char *out, size_t size) {
    char full[64];
    snprintf(full, sizeof full, "gpu%d.%s", index_of(handle), key);
    return get(full, out, size);
}

static long long number(void *handle, const char *key, long long otherwise) {
    char text[256];
    return get_of(handle, key, text, sizeof text) ? (long long)strtoull(text, NULL, 10) : otherwise;
}

static rc text_of(void *handle, const char *key, const char *otherwise, char *out, unsigned size) {
    rc bad = (rc)number(handle, "rc", OK);
    if (bad) return bad;
    if (!get_of(handle, key, out, size)) snprintf(out, size, "%s", otherwise);
    return OK;
}

rc nvmlInitWithFlags(unsigned flags) {
    char text[16];
    (void)flags;
    return get("init", text, sizeof text) ? atoi(text) : OK;
}
rc nvmlShutdown(void) { return OK; }
const char *nvmlErrorString(rc code) {
    switch (code) {
    case 3: return "Not Supported";
    case 4: return "Insufficient Permissions";
    case 9: return "Driver Not Loaded";
    case 15: return "GPU is lost";
    case 18: return "Driver/library version mismatch";
    default: return "Unknown Error";
    }
}
rc nvmlSystemGetDriverVersion(char *out, unsigned size) {
    if (!get("driver", out, size)) snprintf(out, size, "580.1");
    return OK;
}
rc nvmlDeviceGetCount_v2(unsigned *count) {
    char text[16];
    *count = get("count", text, sizeof text) ? (unsigned)atoi(text) : 1;
    return OK;
}
rc nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) {
    *handle = (void *)(size_t)(index + 1);
    return (rc)number(*handle, "rc", OK);
}
rc nvmlDeviceGetName(void *handle, char *out, unsigned size) {
    return text_of(handle, "name", "Fake GPU", out, size);
}
rc nvmlDeviceGetUUID(void *handle, char *out, unsigned size) {
    return text_of(handle, "uuid", "GPU-0", out, size);
}
rc nvmlDeviceGetTotalEnergyConsumption(void *handle, unsigned long long *mj) {
    rc bad = (rc)number(handle, "rc", OK);
    if (!bad) bad = (rc)number(handle, "energy_rc", OK);
    if (bad) return bad;
    long long given = number(handle, "energy_mj", -2), tick = number(handle, "tick_ms", 20);
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    long long ms = now.tv_sec * 1000LL + now.tv_nsec / 1000000;
    *mj = given != -2 ? (unsigned long long)given
                     : (unsigned long long)(ms / tick * tick * number(handle, "power_mw", 70000) / 1000);
    return OK;
}
rc nvmlDeviceGetPowerUsage(void *handle, unsigned *mw) {
    rc bad = (rc)number(handle, "rc", OK);
    if (!bad) bad = (rc)number(handle, "power_rc", OK);
    *mw = (unsigned)number(handle, "power_mw", 70000);
    return bad;
}
typedef struct {
    unsigned id, scope;
    long timestamp, latency;
    unsigned type;
    rc result;
    union { double real; unsigned number; unsigned long long wide; } value;
} field;
rc nvmlDeviceGetFieldValues(void *handle, int count, field *fields) {
    rc bad = (rc)number(handle, "rc", OK);
    if (bad) return bad;
    for (int i = 0; i < count; i++) {
        long long mw = fields[i].id == 186 ? number(handle, "instant_mw", -1) : -1;
        fields[i].result = mw < 0 ? NOT_SUPPORTED : (rc)number(handle, "instant_rc", OK);
        fields[i].value.number = (unsigned)mw;
    }
    return OK;
}
rc nvmlDeviceGetCudaComputeCapability(void *handle, int *major, int *minor) {
    long long both = number(handle, "capability", 0);
    *major = (int)(both / 10);
    *minor = (int)(both % 10);
    return both ? OK : NOT_SUPPORTED;
}
rc nvmlDeviceGetEnforcedPowerLimit(void *handle, unsigned *mw) {
    long long limit = number(handle, "limit_mw", 0);
    *mw = (unsigned)limit;
    return limit ? OK : NOT_SUPPORTED;
}
static rc processes(void *handle, const char *key, unsigned *count, process *out) {
    char text[256], *rest = text, *word;
    unsigned found = 0;
    rc bad = (rc)number(handle, "rc", OK);
    if (!bad) bad = (rc)number(handle, "pids_rc", OK);
    if (bad) return bad;
    if (get_of(handle, key, text, sizeof text))
        for (; (word = strsep(&rest, ",")); found++)
            if (out && found < *count) out[found] = (process){(unsigned)atoi(word), 0, ~0u, ~0u};
    bad = found > *count ? INSUFFICIENT_SIZE : OK;
    *count = found;
    return bad;
}
rc nvmlDeviceGetComputeRunningProcesses_v3(void *handle, unsigned *count, process *out) {
    return processes(handle, "pids", count, out);
}
rc nvmlDeviceGetGraphicsRunningProcesses_v3(void *handle, unsigned *count, process *out) {
    return processes(handle, "graphics", count, out);
}
rc nvmlDeviceGetUtilizationRates(void *handle, unsigned *rates) {
    rates[0] = (unsigned)number(handle, "util", 0);
    rates[1] = 0;
    return OK;
}
rc nvmlDeviceGetCurrentClocksEventReasons(void *handle, unsigned long long *bits) {
    *bits = (unsigned long long)number(handle, "throttle", 0);
    return (rc)number(handle, "rc", OK);
}
rc nvmlDeviceGetMigMode(void *handle, unsigned *now, unsigned *pending) {
    long long mode = number(handle, "mig", -1);
    *now = *pending = (unsigned)mode;
    return mode < 0 ? NOT_SUPPORTED : OK;
}
