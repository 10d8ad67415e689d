import type { Koffi, KoffiFunction, Library } from './koffi.js';

/** Questions to a block device itself: what sysfs shows was true when the kernel first saw the disk. Each blocks. */
export interface DeviceCalls {
  /** What a SCSI disk says it is called: its answer to INQUIRY of page 0x83; undefined when it gives none. */
  inquire(fd: number): Buffer | undefined;
  /** The same of an NVMe namespace, asked through the controller that `fd` is. */
  identify(fd: number, namespace: number): Buffer | undefined;
}

const SG_IO = 0x2285;
const NVME_ADMIN = 0xc0484e41;
/** CNS 3 of Identify: the list of a namespace's identifiers. */
const IDENTIFIERS = 3;
const ANSWER_MS = 5_000;
const PAGE_83 = [0x12, 1, 0x83, 4, 0, 0];
const SENSE_BYTES = 64;

/** struct sg_io_hdr and struct nvme_passthru_cmd, as far as they are used. */
const SG_IO_HDR = {
  interface_id: 'int',
  dxfer_direction: 'int',
  cmd_len: 'uint8_t',
  mx_sb_len: 'uint8_t',
  iovec_count: 'uint16_t',
  dxfer_len: 'uint32_t',
  dxferp: 'void *',
  cmdp: 'void *',
  sbp: 'void *',
  timeout: 'uint32_t',
  flags: 'uint32_t',
  pack_id: 'int',
  usr_ptr: 'void *',
  status: 'uint8_t',
  masked_status: 'uint8_t',
  msg_status: 'uint8_t',
  sb_len_wr: 'uint8_t',
  host_status: 'uint16_t',
  driver_status: 'uint16_t',
  resid: 'int',
  duration: 'uint32_t',
  info: 'uint32_t',
};
const NVME_COMMAND = {
  opcode: 'uint8_t',
  flags: 'uint8_t',
  rsvd1: 'uint16_t',
  nsid: 'uint32_t',
  cdw2: 'uint32_t',
  cdw3: 'uint32_t',
  metadata: 'uint64_t',
  addr: 'void *',
  metadata_len: 'uint32_t',
  data_len: 'uint32_t',
  cdw10: 'uint32_t',
  cdw11: 'uint32_t',
  cdw12: 'uint32_t',
  cdw13: 'uint32_t',
  cdw14: 'uint32_t',
  cdw15: 'uint32_t',
  timeout_ms: 'uint32_t',
  result: 'uint32_t',
};

export function deviceCalls(koffi: Koffi, libc: Library): DeviceCalls {
  const inquiry = question(koffi, libc, 'sg_io_hdr', SG_IO_HDR);
  const admin = question(koffi, libc, 'nvme_passthru_cmd', NVME_COMMAND);
  return {
    inquire(fd) {
      const answer = Buffer.alloc(1024);
      const asked = {
        ...zeros(SG_IO_HDR),
        interface_id: 'S'.charCodeAt(0),
        dxfer_direction: -3,
        cmd_len: PAGE_83.length,
        mx_sb_len: SENSE_BYTES,
        dxfer_len: answer.length,
        dxferp: answer,
        cmdp: Buffer.from(PAGE_83),
        sbp: Buffer.alloc(SENSE_BYTES),
        timeout: ANSWER_MS,
      };
      if (Number(inquiry(fd, SG_IO, asked)) !== 0) return undefined;
      // Bit 3 of the driver's status only says that there is sense data.
      const { status, host_status: host, driver_status: driver } = asked;
      return status === 0 && host === 0 && (driver & ~8) === 0 ? answer : undefined;
    },
    identify(fd, namespace) {
      const answer = Buffer.alloc(4096);
      const asked = {
        ...zeros(NVME_COMMAND),
        opcode: 6,
        nsid: namespace,
        addr: answer,
        data_len: answer.length,
        cdw10: IDENTIFIERS,
        timeout_ms: ANSWER_MS,
      };
      return Number(admin(fd, NVME_ADMIN, asked)) === 0 ? answer : undefined;
    },
  };
}

/** ioctl(2) with one such structure, which it fills in. */
function question(
  koffi: Koffi,
  libc: Library,
  name: string,
  fields: Readonly<Record<string, string>>,
): KoffiFunction {
  koffi.struct(name, fields);
  return libc.func(`int ioctl(int fd, unsigned long request, _Inout_ ${name} *argument)`);
}

/** Every field, unset. */
function zeros<F extends Readonly<Record<string, string>>>(fields: F): Record<keyof F, number> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, type]) => [name, type === 'void *' ? null : 0]),
  ) as Record<keyof F, number>;
}
