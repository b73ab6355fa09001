// An echo in freestanding C: the three exports of docs/core-abi.md, no libc, one buffer that grows and is reused.

#include <stdint.h>

#define EXPORT(name) __attribute__((export_name(#name)))
#define PAGE 65536u

// Set by the linker to the first address behind everything it placed.
extern unsigned char __heap_base;

// Gives the host a place for an event. The host asks once per event and is done with the last one by then, so every event
// gets the same address; memory grows when one is larger than all before it. 0 says that there is no more.
EXPORT(alloc) void *alloc(uint32_t length) {
    uint64_t end = (uint64_t)(uintptr_t)&__heap_base + length;
    uint64_t pages = (end + PAGE - 1) / PAGE;
    uint64_t have = __builtin_wasm_memory_size(0);
    if (pages > have && __builtin_wasm_memory_grow(0, (uint32_t)(pages - have)) == (uintptr_t)-1) {
        return 0;
    }
    return &__heap_base;
}

// Answers with the event: its pointer in the high half, its length in the low half.
EXPORT(handle) uint64_t handle(unsigned char *event, uint32_t length) {
    return (uint64_t)(uintptr_t)event << 32 | length;
}
