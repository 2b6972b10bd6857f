// Programs and code: values that may be larger than one reply should be, written and read in parts.
import { randomBytes } from 'node:crypto'
import type { Deployment } from '../redis/deployment.ts'

const partBytes = 512 * 1024

/** Writes `bytes` under `key` where there is nothing yet, to expire after `ttlMs` unless something keeps it. */
export async function writeLarge(deployment: Deployment, key: string, bytes: Uint8Array, ttlMs: number): Promise<void> {
  if (bytes.length <= partBytes) {
    await deployment.command(key, ['SET', key, bytes, 'PX', ttlMs, 'NX'])
    return
  }
  if ((await deployment.command(key, ['EXISTS', key])) === 1) return
  // Others write and read the same code: they must see all of it or nothing.
  const partial = `${key}:${randomBytes(6).toString('hex')}`
  for (let at = 0; at < bytes.length; at += partBytes) {
    await deployment.command(key, ['SETRANGE', partial, at, bytes.subarray(at, at + partBytes)])
    await deployment.command(key, ['PEXPIRE', partial, ttlMs])
  }
  const first = (await deployment.command(key, ['RENAMENX', partial, key])) === 1
  if (!first) await deployment.command(key, ['UNLINK', partial])
}

/** The value, empty where there is none. */
export async function readLarge(deployment: Deployment, key: string): Promise<Uint8Array> {
  const parts: Buffer[] = []
  for (let at = 0; ; at += partBytes) {
    const part = await deployment.command(key, ['GETRANGE', key, at, at + partBytes - 1], { binary: true })
    if (Buffer.isBuffer(part) && part.length > 0) parts.push(part)
    if (!Buffer.isBuffer(part) || part.length < partBytes) break
  }
  return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts)
}
