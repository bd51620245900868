/* Reads gray 48x48 pictures with an exported .tflite by LiteRT's C API, one line for each.
 *
 *   cc classify.c -o classify -L FOLDER -Wl,-rpath,FOLDER -l:libLiteRt.so
 *   ./classify MODEL.tflite PICTURES.raw
 *
 * FOLDER has libLiteRt.so, as the Python wheel ai-edge-litert 2.3.0 does. PICTURES.raw holds the
 * bytes of one picture after the other, as many as the model's input takes. The wheel brings no
 * headers: what is used of the API is declared here, and changes between releases.
 */
#include <inttypes.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void *Handle; /* every object of the API is an opaque pointer */
typedef struct { float scale; int64_t zero_point; } Quantization;
typedef struct { alignas(16) unsigned char opaque[512]; } TensorType; /* larger than it is */
enum { CPU = 1, READ = 0, WRITE = 1 };

int LiteRtCreateEnvironment(int option_count, const void *options, Handle *environment);
int LiteRtCreateModelFromFile(Handle environment, const char *path, Handle *model);
int LiteRtCreateOptions(Handle *options);
int LiteRtSetOptionsHardwareAccelerators(Handle options, int accelerators);
int LiteRtCreateCompiledModel(Handle environment, Handle model, Handle options, Handle *compiled);
int LiteRtGetModelSignature(Handle model, size_t index, Handle *signature);
int LiteRtGetNumSignatureOutputs(Handle signature, size_t *count);
int LiteRtGetSignatureOutputName(Handle signature, size_t index, const char **name);
int LiteRtGetSignatureInputTensorByIndex(Handle signature, size_t index, Handle *tensor);
int LiteRtGetSignatureOutputTensorByIndex(Handle signature, size_t index, Handle *tensor);
int LiteRtGetRankedTensorType(Handle tensor, TensorType *type);
int LiteRtGetPerTensorQuantization(Handle tensor, Quantization *quantization);
int LiteRtGetCompiledModelInputBufferRequirements(Handle, size_t, size_t, Handle *requirements);
int LiteRtGetCompiledModelOutputBufferRequirements(Handle, size_t, size_t, Handle *requirements);
int LiteRtCreateManagedTensorBufferFromRequirements(Handle environment, const TensorType *type,
                                                    Handle requirements, Handle *buffer);
int LiteRtGetTensorBufferPackedSize(Handle buffer, size_t *size);
int LiteRtLockTensorBuffer(Handle buffer, void **memory, int mode);
int LiteRtUnlockTensorBuffer(Handle buffer);
int LiteRtRunCompiledModel(Handle compiled, size_t signature, size_t input_count, Handle *inputs,
                           size_t output_count, Handle *outputs);

/* Every function of the API returns 0 or an error's number. */
#define CHECK(call)                                             \
    do {                                                        \
        int status = (call);                                    \
        if (status) {                                           \
            fprintf(stderr, "%s: error %d\n", #call, status);   \
            return 1;                                           \
        }                                                       \
    } while (0)
#define MOST_OUTPUTS 4

int main(int count, char **arguments) {
    if (count != 3) {
        fprintf(stderr, "usage: %s MODEL.tflite PICTURES.raw\n", arguments[0]);
        return 2;
    }
    Handle environment, model, options, compiled, signature, tensor, requirements, input;
    CHECK(LiteRtCreateEnvironment(0, NULL, &environment));
    CHECK(LiteRtCreateModelFromFile(environment, arguments[1], &model));
    CHECK(LiteRtCreateOptions(&options));
    CHECK(LiteRtSetOptionsHardwareAccelerators(options, CPU));
    CHECK(LiteRtCreateCompiledModel(environment, model, options, &compiled));
    CHECK(LiteRtGetModelSignature(model, 0, &signature));

    TensorType type;
    size_t input_size;
    CHECK(LiteRtGetSignatureInputTensorByIndex(signature, 0, &tensor));
    CHECK(LiteRtGetRankedTensorType(tensor, &type));
    CHECK(LiteRtGetCompiledModelInputBufferRequirements(compiled, 0, 0, &requirements));
    CHECK(LiteRtCreateManagedTensorBufferFromRequirements(environment, &type, requirements, &input));
    CHECK(LiteRtGetTensorBufferPackedSize(input, &input_size));

    size_t outputs, sizes[MOST_OUTPUTS];
    Handle buffers[MOST_OUTPUTS];
    const char *names[MOST_OUTPUTS];
    Quantization quantizations[MOST_OUTPUTS];
    CHECK(LiteRtGetNumSignatureOutputs(signature, &outputs));
    if (outputs > MOST_OUTPUTS) return 1;
    for (size_t i = 0; i < outputs; i++) { /* told apart by name: their order is the file's own */
        CHECK(LiteRtGetSignatureOutputName(signature, i, &names[i]));
        CHECK(LiteRtGetSignatureOutputTensorByIndex(signature, i, &tensor));
        CHECK(LiteRtGetPerTensorQuantization(tensor, &quantizations[i]));
        CHECK(LiteRtGetRankedTensorType(tensor, &type));
        CHECK(LiteRtGetCompiledModelOutputBufferRequirements(compiled, 0, i, &requirements));
        CHECK(LiteRtCreateManagedTensorBufferFromRequirements(environment, &type, requirements,
                                                              &buffers[i]));
        CHECK(LiteRtGetTensorBufferPackedSize(buffers[i], &sizes[i]));
    }

    FILE *pictures = fopen(arguments[2], "rb");
    unsigned char *pixels = malloc(input_size);
    if (!pictures || !pixels) {
        perror(arguments[2]);
        return 2;
    }
    void *memory;
    while (fread(pixels, 1, input_size, pictures) == input_size) {
        CHECK(LiteRtLockTensorBuffer(input, &memory, WRITE));
        memcpy(memory, pixels, input_size);
        CHECK(LiteRtUnlockTensorBuffer(input));
        CHECK(LiteRtRunCompiledModel(compiled, 0, 1, &input, outputs, buffers));
        for (size_t i = 0; i < outputs; i++) {
            CHECK(LiteRtLockTensorBuffer(buffers[i], &memory, READ));
            printf("%s%s", i ? " " : "", names[i]);
            for (size_t j = 0; j < sizes[i]; j++) {
                int steps = ((unsigned char *)memory)[j] - (int)quantizations[i].zero_point;
                printf(" %.9g", steps * quantizations[i].scale);
            }
            CHECK(LiteRtUnlockTensorBuffer(buffers[i]));
        }
        putchar('\n');
    }
    return 0; /* the system takes back what the process held */
}
