import koffi, { type LibraryHandle } from 'koffi';

/** The system has no more memory, or no more room in its tables of mappings. */
export class OutOfMemoryError extends Error {
  override readonly name = 'OutOfMemoryError';
}

/**
 * Addresses and lengths in bytes, multiples of a page. Every method that asks the system for something throws where it refuses: an
 * `OutOfMemoryError` when that may succeed another time, an `Error` with the system's code when it will not.
 */
export interface VirtualMemory {
  readonly pageBytes: number;
  /** An open file of this length that exists in memory only; a page of it costs nothing until it is allocated. */
  createFile(bytes: number): number;
  /**
   * Gives pages to a part of the file, zeroed where they are new: without this, a lack of memory would end the process at the first write.
   */
  allocate(file: number, offset: number, bytes: number): void;
  closeFile(file: number): void;
  /** Address space whose pages read as zeros and cost nothing. */
  reserve(bytes: number): bigint;
  release(address: bigint, bytes: number): void;
  /** Makes the addresses read and write the file from `offset` on. The pages are there when it returns: no later access waits for one. */
  map(address: bigint, bytes: number, file: number, offset: number): void;
  /** Makes the addresses read as zeros again. */
  unmap(address: bigint, bytes: number): void;
  copy(to: bigint, from: bigint, bytes: number): void;
}

/** Of Linux, on x64 and arm64 alike. */
const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 0x01;
const MAP_PRIVATE = 0x02;
const MAP_FIXED = 0x10;
const MAP_ANONYMOUS = 0x20;
const MAP_NORESERVE = 0x4000;
const MAP_POPULATE = 0x8000;
const MFD_CLOEXEC = 1;
const SC_PAGESIZE = 30;
/** `MAP_FAILED`: −1. */
const failed = 2n ** 64n - 1n;
/** A signal may interrupt an allocation; it is tried again so often. */
const interruptionsMax = 100;

/** The system's calls through glibc. Throws an `Error` where they do not exist: it takes Linux. */
export function openVirtualMemory(): VirtualMemory {
  if (process.platform !== 'linux') throw new Error(`${process.platform} has no memfd_create`);
  const libc = koffi.load('libc.so.6');
  const calls = bindCalls(libc);
  const check = <T>(what: string, result: T, isGood: boolean): T => {
    if (isGood) return result;
    const code = koffi.errno();
    const name = Object.entries(koffi.os.errno).find(([, value]) => value === code)?.[0] ?? `error ${code}`;
    const isShort = name === 'ENOMEM' || name === 'ENOSPC' || name === 'EAGAIN';
    throw isShort ? new OutOfMemoryError(`${what}: ${name}`) : new Error(`${what}: ${name}`);
  };
  const map = (address: bigint | null, bytes: number, protection: number, flags: number, file: number, offset: number): bigint => {
    const mapped = calls.mmap(address, bytes, protection, flags, file, offset);
    return check('mmap', mapped, mapped !== failed);
  };
  const zeros = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  return {
    pageBytes: calls.sysconf(SC_PAGESIZE),
    createFile(bytes) {
      const created = calls.memfdCreate('autoglm-kv', MFD_CLOEXEC);
      const file = check('memfd_create', created, created >= 0);
      check('ftruncate', file, calls.ftruncate(file, bytes) === 0);
      return file;
    },
    allocate(file, offset, bytes) {
      let result = calls.fallocate(file, 0, offset, bytes);
      for (let tries = 1; result !== 0 && koffi.errno() === koffi.os.errno['EINTR'] && tries < interruptionsMax; tries += 1)
        result = calls.fallocate(file, 0, offset, bytes);
      check('fallocate', file, result === 0);
    },
    closeFile: (file) => void calls.close(file),
    reserve: (bytes) => map(null, bytes, PROT_READ, zeros, -1, 0),
    release: (address, bytes) => void calls.munmap(address, bytes),
    map: (address, bytes, file, offset) =>
      void map(address, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_POPULATE, file, offset),
    unmap: (address, bytes) => void map(address, bytes, PROT_READ, zeros | MAP_FIXED, -1, 0),
    copy: (to, from, bytes) => void calls.memcpy(to, from, bytes),
  };
}

function bindCalls(libc: LibraryHandle) {
  const bind = <F>(signature: string): F => libc.func(signature) as unknown as F;
  return {
    mmap: bind<(address: bigint | null, length: number, protection: number, flags: number, file: number, offset: number) => bigint>(
      'void *mmap(void *addr, size_t length, int prot, int flags, int fd, int64_t offset)',
    ),
    munmap: bind<(address: bigint, length: number) => number>('int munmap(void *addr, size_t length)'),
    memfdCreate: bind<(name: string, flags: number) => number>('int memfd_create(const char *name, unsigned int flags)'),
    ftruncate: bind<(file: number, length: number) => number>('int ftruncate(int fd, int64_t length)'),
    fallocate: bind<(file: number, mode: number, offset: number, length: number) => number>(
      'int fallocate(int fd, int mode, int64_t offset, int64_t length)',
    ),
    close: bind<(file: number) => number>('int close(int fd)'),
    sysconf: bind<(name: number) => number>('long sysconf(int name)'),
    memcpy: bind<(to: bigint, from: bigint, length: number) => void>('void memcpy(void *to, void *from, size_t n)'),
  };
}
