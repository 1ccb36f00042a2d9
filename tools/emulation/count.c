/* Counts the guest instructions of a process, all of its threads, for the process itself to read.
 *
 * Load it by QEMU_PLUGIN=/usr/local/lib/edgecnn/count.so in the environment in which a program is started. The program
 * asks by prctl(ASK, descriptor), which Linux does not know and refuses: the count so far is then in the descriptor, as
 * eight bytes in this machine's order. Guest and host share the descriptors of a process under qemu-user.
 * edgecnn/edge/measure/instructions.py is the other end.
 *
 * Instructions are added block by block as blocks begin. The sum is not locked: with several threads a few are lost.
 * The declarations are those of QEMU's plugin interface, version 1 (qemu-plugin.h, which Debian does not package).
 */
#include <stdint.h>
#include <stddef.h>
#include <unistd.h>

enum { ADD_U64 = 0, PRCTL = 167 /* arm64's number */, ASK = 0x45434E4E /* ECNN */ };

typedef uint64_t plugin_id;
struct qemu_plugin_tb;
typedef void (*tb_callback)(plugin_id, struct qemu_plugin_tb *);
typedef void (*syscall_callback)(plugin_id, unsigned int, int64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                                 uint64_t, uint64_t, uint64_t);

size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, tb_callback);
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, int, void *, uint64_t);
void qemu_plugin_register_vcpu_syscall_cb(plugin_id, syscall_callback);

int qemu_plugin_version = 1;

static uint64_t executed;

static void on_translated(plugin_id id, struct qemu_plugin_tb *block)
{
    (void)id;
    qemu_plugin_register_vcpu_tb_exec_inline(block, ADD_U64, &executed, qemu_plugin_tb_n_insns(block));
}

static void on_syscall(plugin_id id, unsigned int cpu, int64_t number, uint64_t option, uint64_t descriptor, uint64_t a3,
                       uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8)
{
    (void)id, (void)cpu, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
    if (number == PRCTL && option == ASK) {
        uint64_t so_far = executed;
        ssize_t written = write((int)descriptor, &so_far, sizeof so_far);
        (void)written; /* the process notices that nothing came */
    }
}

int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
    (void)info, (void)argc, (void)argv;
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translated);
    qemu_plugin_register_vcpu_syscall_cb(id, on_syscall);
    return 0;
}
