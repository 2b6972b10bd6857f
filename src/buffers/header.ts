// The first 64 bytes of every shared buffer: what the file is, where its directory lies, and two words that change
// while others have it open (docs/buffers-format.md).
import { endianness } from 'node:os'
import { crc32 } from 'node:zlib'
import { BufferError } from '../errors.ts'

export const HEADER_BYTES = 64

/** Like PNG's: a byte beyond ASCII, the name, and line ends that any text transfer would change. */
const MAGIC = Buffer.from([0x89, 0x47, 0x4d, 0x42, 0x0d, 0x0a, 0x1a, 0x0a])

/** Format written; a reader refuses files whose `minReader` is above its own. */
export const FORMAT_VERSION = 1
const MIN_READER = 1
const LITTLE_ENDIAN = 0x01020304

/** Byte offset of a word that is 1 once a newer file is about to take (or has taken) this one's place. */
export const SUPERSEDED_AT = 48
/** Byte offset of a word that is 1 once the file was opened for writing in place: segment checksums no longer hold. */
export const TOUCHED_AT = 52

/** 1 GiB: Node 20 cannot view more than 4 GiB at once, and 30 bits keep positions small integers. */
export const MAX_SEGMENT_BYTES = 2 ** 30

/** Typed arrays lie over the file itself, so machine and file have to agree. Errors: `BUFFER_PLATFORM`. */
export function checkMachine(): void {
  if (endianness() !== 'LE') throw new BufferError('BUFFER_PLATFORM', 'shared buffers need a little-endian machine')
}

export interface Header {
  readonly fileBytes: number
  readonly directoryAt: number
  readonly directoryBytes: number
  readonly directoryCrc: number
}

export function encodeHeader(header: Header): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES)
  MAGIC.copy(bytes)
  bytes.writeUInt16LE(FORMAT_VERSION, 8)
  bytes.writeUInt16LE(MIN_READER, 10)
  bytes.writeUInt32LE(LITTLE_ENDIAN, 12)
  bytes.writeBigUInt64LE(BigInt(header.fileBytes), 16)
  bytes.writeBigUInt64LE(BigInt(header.directoryAt), 24)
  bytes.writeUInt32LE(header.directoryBytes, 32)
  bytes.writeUInt32LE(header.directoryCrc, 36)
  bytes.writeUInt32LE(crc32(bytes.subarray(0, 40)), 40)
  return bytes
}

export function startsAsBuffer(bytes: Uint8Array): boolean {
  return MAGIC.equals(bytes.subarray(0, MAGIC.length))
}

/** Errors: `BUFFER_FORMAT`, `BUFFER_VERSION`, `BUFFER_CHECKSUM`, `BUFFER_CORRUPT`. */
export function decodeHeader(bytes: Buffer, fileBytes: number, path: string): Header {
  if (bytes.length < HEADER_BYTES || !startsAsBuffer(bytes)) {
    throw new BufferError('BUFFER_FORMAT', `${path} is not a shared buffer`)
  }
  const minReader = bytes.readUInt16LE(10)
  if (minReader > FORMAT_VERSION) {
    const written = bytes.readUInt16LE(8)
    throw new BufferError('BUFFER_VERSION', `${path} has format ${written}, readable from ${minReader} on`)
  }
  if (bytes.readUInt32LE(12) !== LITTLE_ENDIAN) {
    throw new BufferError('BUFFER_FORMAT', `${path} is not little-endian`)
  }
  if (crc32(bytes.subarray(0, 40)) !== bytes.readUInt32LE(40)) {
    throw new BufferError('BUFFER_CHECKSUM', `the header of ${path} is damaged`)
  }
  const header: Header = {
    fileBytes: Number(bytes.readBigUInt64LE(16)),
    directoryAt: Number(bytes.readBigUInt64LE(24)),
    directoryBytes: bytes.readUInt32LE(32),
    directoryCrc: bytes.readUInt32LE(36),
  }
  if (fileBytes < header.fileBytes) {
    throw new BufferError('BUFFER_CORRUPT', `${path} is truncated: ${fileBytes} of ${header.fileBytes} bytes`)
  }
  if (header.directoryAt < HEADER_BYTES || header.directoryAt + header.directoryBytes > header.fileBytes) {
    throw new BufferError('BUFFER_CORRUPT', `the directory of ${path} lies outside of the file`)
  }
  return header
}
