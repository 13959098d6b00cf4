/* Hides from a process what its processor can do beyond AVX2: `LD_PRELOAD=avx2.so command`.
 *
 * The instruction cpuid then raises SIGSEGV, which Linux can do with processors of Intel (arch_prctl(2), ARCH_SET_CPUID).
 * The handler runs the instruction and clears the bits of AVX-512, AMX, AVX-VNNI and later extensions in its result. The
 * libraries that are loaded later choose their kernels for AVX2. exec ends the fault, so the library is
 * preloaded again in each new program.
 */
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define BIT(number) (1u << (number))

/* Leaf 7 of cpuid, see the Intel 64 Software Developer's Manual, volume 2, "CPUID". */
static const uint32_t LEAF_7_EBX = BIT(16) | BIT(17) | BIT(21) | BIT(26) | BIT(27) | BIT(28) | BIT(30) | BIT(31);
static const uint32_t LEAF_7_ECX = BIT(1) | BIT(6) | BIT(11) | BIT(12) | BIT(14);
static const uint32_t LEAF_7_EDX = BIT(2) | BIT(3) | BIT(8) | BIT(22) | BIT(23) | BIT(24) | BIT(25);
/* Subleaf 1: AVX-VNNI, AVX512-BF16, AMX-FP16, AVX-IFMA. Everything in EDX is newer. */
static const uint32_t LEAF_7_1_EAX = BIT(4) | BIT(5) | BIT(21) | BIT(23);

static void allow_cpuid(int allowed) {
    if (syscall(SYS_arch_prctl, ARCH_SET_CPUID, (unsigned long)allowed) != 0) {
        perror("avx2.so: this processor cannot hide its extensions");
        exit(1);
    }
}

static void on_fault(int signal_number, siginfo_t *info, void *context) {
    (void)info;
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    const uint8_t *instruction = (const uint8_t *)registers[REG_RIP];
    if (instruction[0] != 0x0f || instruction[1] != 0xa2) {
        signal(signal_number, SIG_DFL); /* A real fault happens again, and ends the process. */
        return;
    }
    const uint32_t leaf = (uint32_t)registers[REG_RAX], subleaf = (uint32_t)registers[REG_RCX];
    uint32_t a, b, c, d;
    allow_cpuid(1);
    __asm__ volatile("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(leaf), "c"(subleaf));
    allow_cpuid(0);
    if (leaf == 7 && subleaf == 0) {
        b &= ~LEAF_7_EBX;
        c &= ~LEAF_7_ECX;
        d &= ~LEAF_7_EDX;
    } else if (leaf == 7 && subleaf == 1) {
        a &= ~LEAF_7_1_EAX;
        d = 0;
    }
    registers[REG_RAX] = a;
    registers[REG_RBX] = b;
    registers[REG_RCX] = c;
    registers[REG_RDX] = d;
    registers[REG_RIP] += 2;
}

__attribute__((constructor)) static void hide(void) {
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(SIGSEGV, &action, 0);
    allow_cpuid(0);
}
