import type { Koffi, KoffiFunction } from '../sys/calls/koffi.js';

const RADOS = 'librados.so.2';
const RBD = 'librbd.so.1';

/** `found` of rbd_diff_iterate2. */
const EXTENT_CALLBACK = 'int rbd_extent(uint64_t offset, size_t length, int exists, void *argument)';

/** The calls of librados and librbd that reading an image takes, as their headers have them; handles are addresses. */
const PROTOTYPES = {
  create: [
    RADOS,
    'int rados_create2(_Out_ uintptr_t *cluster, const char *name, const char *user, uint64_t flags)',
  ],
  readConf: [RADOS, 'int rados_conf_read_file(uintptr_t cluster, const char *path)'],
  setConf: [RADOS, 'int rados_conf_set(uintptr_t cluster, const char *option, const char *value)'],
  connect: [RADOS, 'int rados_connect(uintptr_t cluster)'],
  shutdown: [RADOS, 'void rados_shutdown(uintptr_t cluster)'],
  openPool: [RADOS, 'int rados_ioctx_create(uintptr_t cluster, const char *pool, _Out_ uintptr_t *io)'],
  setNamespace: [RADOS, 'void rados_ioctx_set_namespace(uintptr_t io, const char *name)'],
  closePool: [RADOS, 'void rados_ioctx_destroy(uintptr_t io)'],
  readObject: [
    RADOS,
    'int rados_read(uintptr_t io, const char *name, void *bytes, size_t length, uint64_t offset)',
  ],
  open: [
    RBD,
    'int rbd_open_read_only(uintptr_t io, const char *name, _Out_ uintptr_t *image, const char *snapshot)',
  ],
  close: [RBD, 'int rbd_close(uintptr_t image)'],
  size: [RBD, 'int rbd_get_size(uintptr_t image, _Out_ uint64_t *size)'],
  id: [RBD, 'int rbd_get_id(uintptr_t image, void *id, size_t length)'],
  read: [RBD, 'int64_t rbd_read(uintptr_t image, uint64_t offset, size_t length, void *bytes)'],
  extents: [
    RBD,
    'int rbd_diff_iterate2(uintptr_t image, const char *since, uint64_t offset, uint64_t length, uint8_t parent, uint8_t whole, rbd_extent *found, void *argument)',
  ],
} as const;

export type Call = keyof typeof PROTOTYPES;
export type CephCalls = Readonly<Record<Call, KoffiFunction>>;

/** Throws where a library, or a call of it, is missing. */
export function cephCalls(koffi: Koffi): CephCalls {
  koffi.proto(EXTENT_CALLBACK);
  const libraries = { [RADOS]: koffi.load(RADOS), [RBD]: koffi.load(RBD) };
  const calls = Object.entries(PROTOTYPES).map(([call, [library, prototype]]) => [
    call,
    libraries[library].func(prototype),
  ]);
  return Object.fromEntries(calls) as CephCalls;
}
