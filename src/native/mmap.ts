// Maps files into memory through the C library, and keeps every ArrayBuffer over a map safe to touch: a map that is
// given back is first replaced by zero pages, and its address space is freed when nothing can reach it any more.
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { BufferError } from '../errors.ts'
import { foreign } from './koffi.ts'

/**
 * How a map sees the file. `private`: shared pages until this process writes to one, which then becomes its own;
 * `shared`: writes reach the file and every other process; `read`: as `shared`, but writing is not possible.
 */
export type MapMode = 'private' | 'shared' | 'read'

interface Library {
  readonly pageSize: number
  readonly mmap: (address: bigint | null, length: number, prot: number, flags: number, fd: number, at: number) => bigint
  readonly munmap: (address: bigint, length: number) => number
  readonly flock: (fd: number, operation: number) => number
}

interface Extent {
  readonly address: bigint
  readonly length: number
}

const PROT_READ = 1
const PROT_WRITE = 2
const MAP_SHARED = 1
const MAP_PRIVATE = 2
const MAP_FIXED = 0x10
const MAP_ANONYMOUS = process.platform === 'darwin' ? 0x1000 : 0x20
const MAP_NORESERVE = process.platform === 'darwin' ? 0x40 : 0x4000
const SC_PAGESIZE = process.platform === 'darwin' ? 29 : 30
const LOCK_EX = 2
const LOCK_NB = 4
const MAP_FAILED = BigInt.asUintN(64, -1n)

/** Whether this platform has shared maps; elsewhere (Windows) files are read into memory. */
export const canMap = process.platform !== 'win32'

let loaded: Library | undefined

function library(): Library {
  if (loaded) return loaded
  const c = foreign().load(null)
  const sysconf: (name: number) => number = c.func('long sysconf(int name)')
  loaded = {
    pageSize: sysconf(SC_PAGESIZE),
    mmap: c.func('uintptr_t mmap(uintptr_t addr, size_t len, int prot, int flags, int fd, int64_t at)'),
    munmap: c.func('int munmap(uintptr_t addr, size_t len)'),
    flock: c.func('int flock(int fd, int operation)'),
  }
  return loaded
}

const extents = new WeakMap<ArrayBuffer, Extent>()

// The ArrayBuffer is the only way to reach the pages, so once it is collected they can be given back.
const collected = new FinalizationRegistry<Extent>((extent) => library().munmap(extent.address, extent.length))

/**
 * Maps `length` bytes of an open file from any `offset` (it need not lie on a page).
 * Errors: `BUFFER_CORRUPT` if the file ends before, `BUFFER_FILE` if the system refuses, `BUFFER_PLATFORM` for a
 * shared map where there are none.
 */
export function mapFile(fd: number, offset: number, length: number, mode: MapMode): ArrayBuffer {
  // A map beyond the end of the file would be a bus error on the first touch.
  const size = fstatSync(fd).size
  if (offset + length > size) {
    throw new BufferError('BUFFER_CORRUPT', `the file ends at byte ${size}, but has to reach ${offset + length}`)
  }
  if (length === 0) return new ArrayBuffer(0)
  if (!canMap) return readWhole(fd, offset, length, mode)
  const { mmap, pageSize } = library()
  const slack = offset % pageSize
  const prot = mode === 'read' ? PROT_READ : PROT_READ | PROT_WRITE
  const flags = mode === 'private' ? MAP_PRIVATE | MAP_NORESERVE : MAP_SHARED
  const extent = { length: length + slack, address: mmapOrThrow(mmap, length + slack, prot, flags, fd, offset - slack) }
  const buffer = foreign().view(extent.address + BigInt(slack), length)
  keepFromTransfer(buffer)
  extents.set(buffer, extent)
  collected.register(buffer, extent, buffer)
  return buffer
}

/**
 * Gives the pages back now. The ArrayBuffer stays safe to touch: it has length 0 afterwards where the engine can
 * detach it (Node 22 and later), and reads zeros elsewhere.
 */
export function unmap(buffer: ArrayBuffer): void {
  const extent = extents.get(buffer)
  if (!extent) return
  extents.delete(buffer)
  const { mmap, munmap } = library()
  if (detach(buffer)) {
    collected.unregister(buffer)
    munmap(extent.address, extent.length)
    return
  }
  const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE
  mmap(extent.address, extent.length, PROT_READ | PROT_WRITE, flags, -1, 0)
}

/**
 * Touches every page of a map from byte `from` on, so that later reads do not wait for the disk. Returns a sum, so
 * that it is not optimised away.
 */
export function touchPages(buffer: ArrayBuffer, from = 0): number {
  const bytes = new Uint8Array(buffer)
  const step = canMap ? library().pageSize : 4096
  let sum = 0
  for (let at = from; at < bytes.length; at += step) sum += bytes[at] ?? 0
  return sum
}

/**
 * Takes an exclusive lock on `path` (made if missing), held until the returned function is called or the process ends;
 * undefined if someone else holds it. Errors: `BUFFER_FILE`, `BUFFER_PLATFORM`.
 */
export function tryLock(path: string): (() => void) | undefined {
  if (!canMap) throw new BufferError('BUFFER_PLATFORM', 'file locks need Linux or macOS')
  const fd = openLock(path)
  const { flock } = library()
  if (flock(fd, LOCK_EX | LOCK_NB) === 0) return () => closeSync(fd)
  const { errno, os } = foreign()
  const error = errno()
  closeSync(fd)
  if (error === os.errno['EWOULDBLOCK'] || error === os.errno['EAGAIN']) return undefined
  throw new BufferError('BUFFER_FILE', `cannot lock ${path} (errno ${error})`)
}

function openLock(path: string): number {
  try {
    return openSync(path, 'a')
  } catch (cause) {
    throw new BufferError('BUFFER_FILE', `cannot lock ${path}`, { cause })
  }
}

function mmapOrThrow(
  mmap: Library['mmap'],
  length: number,
  prot: number,
  flags: number,
  fd: number,
  at: number,
): bigint {
  const address = BigInt(mmap(0n, length, prot, flags, fd, at))
  if (address === MAP_FAILED) {
    throw new BufferError('BUFFER_FILE', `cannot map ${length} bytes at offset ${at} (errno ${foreign().errno()})`)
  }
  return address
}

/** What gives the memory of an ArrayBuffer to another one, which nobody here would know of. */
const transfers = ['transfer', 'transferToFixedLength'] as const

function keepFromTransfer(buffer: ArrayBuffer): void {
  const value = (): never => {
    throw new BufferError('BUFFER_OPTION', 'the memory of a mapped file cannot be transferred: take a copy, slice()')
  }
  for (const name of transfers) if (name in ArrayBuffer.prototype) Object.defineProperty(buffer, name, { value })
}

function detach(buffer: ArrayBuffer): boolean {
  // `transfer` is not in Node 20.
  const { transfer } = ArrayBuffer.prototype as { readonly transfer?: (length: number) => ArrayBuffer }
  if (transfer === undefined) return false
  try {
    transfer.call(buffer, 0)
    return buffer.byteLength === 0
  } catch {
    return false
  }
}

function readWhole(fd: number, offset: number, length: number, mode: MapMode): ArrayBuffer {
  if (mode === 'shared') throw new BufferError('BUFFER_PLATFORM', 'shared writable maps need Linux or macOS')
  const bytes = new Uint8Array(length)
  let at = 0
  while (at < length) {
    const count = readSync(fd, bytes, at, length - at, offset + at)
    if (count === 0) throw new BufferError('BUFFER_CORRUPT', `the file ends at byte ${offset + at}`)
    at += count
  }
  return bytes.buffer
}
