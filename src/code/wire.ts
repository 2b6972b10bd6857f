// How captured code travels: a header, an optional HMAC, one JSON document and the raw bytes of buffers. Nothing in it is run or
// parsed before its signature is checked.
import { CaptureError } from '../errors.ts'
import { signature, verify } from './sign.ts'

/**
 * A value, or a reference to one. JSON's own scalars stand for themselves; the tags are
 * `u` undefined, `n` other numbers, `b` bigint, `s` well-known symbol, `r` registered symbol, `#` node, `g` global by path,
 * `m` export of a module, `k` known name, `c` shared variable, `h` hole of an array, `i` the importer of dynamic import().
 */
export type Slot =
  | string
  | number
  | boolean
  | null
  | readonly ['u' | 'h' | 'i']
  | readonly ['n' | 'b' | 's' | 'r' | 'k', string]
  | readonly ['#' | 'c', number]
  | readonly ['g', ...(readonly string[])]
  | readonly ['m', number, ...(readonly string[])]

/** `[key, value, flags]` or, of an accessor, `[key, getter, setter, flags]`. Flags: 1 writable, 2 enumerable, 4 configurable. */
export type Property = readonly [Slot, Slot, number] | readonly [Slot, Slot, Slot, number]

/** What any object may have besides its kind. */
export interface Common {
  readonly proto?: Slot
  readonly props?: readonly Property[]
  readonly lock?: 'frozen' | 'sealed' | 'closed'
}

/** A name that a function sees, and its value. */
export type Binding = readonly [string, Slot]

export type WireNode = Common &
  (
    | { readonly kind: 'object' | 'encoder' }
    | { readonly kind: 'array'; readonly items: readonly Slot[] }
    | { readonly kind: 'map'; readonly entries: readonly (readonly [Slot, Slot])[] }
    | { readonly kind: 'set'; readonly items: readonly Slot[] }
    | { readonly kind: 'date'; readonly time: Slot }
    | { readonly kind: 'regexp'; readonly source: string; readonly flags: string; readonly lastIndex: number }
    | { readonly kind: 'error' }
    | { readonly kind: 'boxed'; readonly value: Slot }
    | { readonly kind: 'url' | 'query'; readonly text: string }
    | { readonly kind: 'decoder'; readonly encoding: string; readonly fatal: boolean; readonly ignoreBOM: boolean }
    | { readonly kind: 'intl'; readonly name: string; readonly locale: string; readonly options: Slot }
    | { readonly kind: 'bytes' | 'buffer'; readonly blob: number }
    | {
        readonly kind: 'view'
        readonly name: string
        readonly of: Slot
        readonly offset: number
        readonly length: number
      }
    | { readonly kind: 'prototype'; readonly of: Slot }
    | { readonly kind: 'namespace'; readonly members: readonly (readonly [string, Slot])[] }
    | { readonly kind: 'bound'; readonly target: Slot; readonly self: Slot; readonly args: readonly Slot[] }
    | {
        readonly kind: 'function'
        readonly literal: number
        readonly bindings: readonly Binding[]
        /** Bindings that must have their value before the source is evaluated: names in computed keys of a class. */
        readonly early?: readonly string[]
      }
  )

/** The source of a function or class, as it is compiled on the worker. */
export interface WireLiteral {
  readonly form: 'expression' | 'method'
  readonly file: number
  /** From 0: where the source stood in the file that was written. */
  readonly line: number
  readonly column: number
  readonly strict: boolean
  readonly source: string
  readonly names: readonly string[]
}

export interface WireModule {
  readonly how: 'import' | 'require' | 'gearmill'
  readonly specifier: string
}

export interface WireDocument {
  readonly roots: readonly Slot[]
  readonly nodes: readonly WireNode[]
  /** The values of variables that several functions share and at least one assigns. */
  readonly cells: readonly Slot[]
  readonly literals: readonly WireLiteral[]
  readonly files: readonly string[]
  readonly modules: readonly WireModule[]
  readonly packages: Readonly<Record<string, string>>
  /** Lengths of the blobs that follow the document. */
  readonly blobs: readonly number[]
  /** What all code of one realm shares: nodes and cells by names of the realm. */
  readonly realm?: WireRealm
}

/** Index in `nodes` or `cells`, and the name under which a realm has it. */
export interface WireRealm {
  readonly nodes: readonly (readonly [number, string])[]
  readonly cells: readonly (readonly [number, string])[]
}

const magic = Buffer.from('GMC1')
const signatureBytes = 32
const headerBytes = magic.length + 1 + signatureBytes + 4

/** Layout: magic, 1 byte signed or not, 32 bytes HMAC or zeros, 4 bytes length of the document (big-endian), document, blobs. */
export function pack(document: WireDocument, blobs: readonly Uint8Array[], secret: string | undefined): Uint8Array {
  const json = Buffer.from(JSON.stringify(document))
  const length = Buffer.alloc(4)
  length.writeUInt32BE(json.length)
  const body = Buffer.concat([length, json, ...blobs])
  const mark = secret === undefined ? Buffer.alloc(signatureBytes) : signature(body, secret)
  return new Uint8Array(Buffer.concat([magic, Buffer.of(secret === undefined ? 0 : 1), mark, body]))
}

export function unpack(bytes: Uint8Array, secret: string | undefined): { document: WireDocument; blobs: Uint8Array[] } {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (buffer.length < headerBytes || !buffer.subarray(0, magic.length).equals(magic)) {
    throw new CaptureError('CAPTURE_LOAD', 'these bytes are no captured code, or of another version of Gearmill')
  }
  const body = buffer.subarray(headerBytes - 4)
  if (secret !== undefined) {
    const isSigned = buffer[magic.length] === 1
    verify(body, isSigned ? buffer.subarray(magic.length + 1, magic.length + 1 + signatureBytes) : undefined, secret)
  }
  let at = 4 + body.readUInt32BE(0)
  try {
    const document = JSON.parse(body.toString('utf8', 4, at)) as WireDocument
    const blobs = document.blobs.map((length) => new Uint8Array(body.subarray(at, (at += length))))
    return { document, blobs }
  } catch (cause) {
    throw new CaptureError('CAPTURE_LOAD', 'captured code is damaged', { cause })
  }
}
