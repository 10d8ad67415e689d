import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { eventually } from '../support/eventually.js';

export interface Machine {
  /** Folder with the `vmlinuz` and the `initrd` that guest/build made. */
  readonly boot: string;
  /** The qcow2 file it runs on. */
  readonly disk: string;
  /** What init reads on the kernel's command line. */
  readonly words: string;
  /** Where its QMP socket is to be. */
  readonly socket: string;
  readonly undo: { after(step: () => unknown): void };
}

interface QmpMessage {
  readonly event?: string;
  readonly return?: { readonly status?: string };
  readonly data?: unknown;
}

const KERNEL = 'console=ttyS0 loglevel=4 panic=-1 nokaslr mitigations=off audit=0 apparmor=0';
/** Lines of the guest's kernel and of busybox that tell of a disk which failed it. */
const COMPLAINT = /i\/o error|input\/output error|ext4-fs error|guest:|panic/i;

/** A guest that reads its disk over and over (guest/init), emulated: /dev/kvm may be there and run nothing. */
export class VirtualMachine {
  /** Passes that were right. */
  passes = 0;
  /** What the guest or QEMU had to complain of. */
  readonly complaints: string[] = [];
  readonly console: string[] = [];
  readonly #ended: Promise<unknown>;
  readonly #qmp: Socket;
  readonly #answers: ((message: QmpMessage) => void)[] = [];
  #changed: () => void = () => undefined;

  private constructor(child: ChildProcess, qmp: Socket) {
    this.#qmp = qmp;
    this.#ended = once(child, 'exit').then(() => this.#complain('qemu has ended'));
    for (const stream of [child.stdout, child.stderr])
      if (stream !== null) createInterface({ input: stream }).on('line', (line) => this.#hear(line));
    createInterface({ input: qmp })
      .on('line', (line) => this.#told(JSON.parse(line) as QmpMessage))
      // QEMU resets the connection when it quits; readline passes that on.
      .on('error', (error: Error) => this.#complain(error.message));
    qmp.on('error', (error) => this.#complain(error.message));
  }

  static async start({ boot, disk, words, socket, undo }: Machine): Promise<VirtualMachine> {
    // stop: what QEMU would otherwise show its guest as an I/O error, or hide, shows in query-status.
    const drive = `if=none,id=disk,file=${disk},format=qcow2,cache=none,aio=threads,werror=stop,rerror=stop`;
    const args = [
      ['-M', 'pc', '-accel', 'tcg', '-cpu', 'max', '-smp', '1', '-m', '256'],
      ['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-serial', 'stdio'],
      ['-kernel', `${boot}/vmlinuz`, '-initrd', `${boot}/initrd`, '-append', `${KERNEL} ${words}`],
      ['-drive', drive, '-device', 'virtio-blk-pci,drive=disk'],
      ['-qmp', `unix:${socket},server=on,wait=off`],
    ];
    const child = spawn('qemu-system-x86_64', args.flat(), { stdio: ['ignore', 'pipe', 'pipe'] });
    undo.after(() => end(child));
    const qmp = await eventually('qemu listens', () => listening(socket));
    const machine = new VirtualMachine(child, qmp);
    await machine.#ask('qmp_capabilities');
    return machine;
  }

  /** Waits for `passes` more whole passes than there are; throws when the guest complains instead. */
  async awaitPasses(passes: number): Promise<void> {
    // One more: the pass that runs now began before.
    const goal = this.passes + passes + 1;
    while (this.passes < goal && this.complaints.length === 0)
      await new Promise<void>((resolve) => (this.#changed = resolve));
    if (this.complaints.length > 0) throw new Error(this.complaints.join('\n'));
  }

  /** `running` unless QEMU has paused it. */
  async status(): Promise<string | undefined> {
    return (await this.#ask('query-status')).return?.status;
  }

  async quit(): Promise<void> {
    await this.#ask('quit');
    await this.#ended;
  }

  #ask(command: string): Promise<QmpMessage> {
    this.#qmp.write(`${JSON.stringify({ execute: command })}\n`);
    return new Promise((resolve) => this.#answers.push(resolve));
  }

  #told(message: QmpMessage): void {
    if ('return' in message || 'error' in message) this.#answers.shift()?.(message);
    else if (message.event === 'STOP' || message.event === 'BLOCK_IO_ERROR')
      this.#complain(JSON.stringify(message));
  }

  #hear(line: string): void {
    this.console.push(line);
    if (/^pass \d+ ok/.test(line)) this.passes += 1;
    else if (line.startsWith('pass ') || COMPLAINT.test(line)) this.#complain(line);
    this.#changed();
  }

  #complain(line: string): void {
    this.complaints.push(line);
    this.#changed();
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill('SIGKILL');
  await exit;
}

function listening(path: string): Promise<Socket | undefined> {
  const socket = connect(path);
  return new Promise((resolve) => {
    socket.once('connect', () => resolve(socket));
    socket.once('error', () => resolve(undefined));
  });
}
