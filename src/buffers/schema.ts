// Schemas: immutable descriptions of types, with the TypeScript type they stand for. They are data (`Node`), so that
// a file can hold its own schema; how a node is stored is the business of its codec.
import { BufferError } from '../errors.ts'

/** A description of values of type `T`. `typeof schema.type` is `T`; at run time `type` is undefined. */
export interface Schema<out T> {
  readonly type: T
  readonly [nodeOf]: Node
  toString(): string
}

/** An attribute of a struct that may be missing. Not a schema by itself: only struct attributes can be absent. */
export interface OptionalSchema<out T> {
  readonly type: T
  readonly optional: true
  readonly [nodeOf]: OptionalNode
  toString(): string
}

export const nodeOf: unique symbol = Symbol('gearmill.buffers.node')

export const integerKinds = ['i8', 'u8', 'i16', 'u16', 'i32', 'u32'] as const
export const numberKinds = [...integerKinds, 'f32', 'f64'] as const
export const bigKinds = ['i64', 'u64'] as const
export const plainKinds = [...numberKinds, ...bigKinds, 'bool', 'str', 'any', 'decimal', 'date', 'datetime'] as const
export const dtypes = [...numberKinds, ...bigKinds] as const

export type NumberKind = (typeof numberKinds)[number]
export type BigKind = (typeof bigKinds)[number]
export type PlainKind = (typeof plainKinds)[number]
export type Dtype = (typeof dtypes)[number]

export interface Attribute {
  readonly name: string
  readonly node: Node
  readonly optional: boolean
}
export interface PlainNode {
  readonly kind: PlainKind
}
export interface BytesNode {
  readonly kind: 'bytes'
  readonly compress: boolean
}
export interface ListNode {
  readonly kind: 'list'
  readonly item: Node
}
export interface TupleNode {
  readonly kind: 'tuple'
  readonly items: readonly Node[]
}
export interface SetNode {
  readonly kind: 'set'
  readonly item: Node
}
export interface DictNode {
  readonly kind: 'dict'
  readonly key: Node
  readonly value: Node
}
export interface StructNode {
  readonly kind: 'struct'
  readonly name: string
  readonly attributes: readonly Attribute[]
}
export interface RefNode {
  readonly kind: 'ref'
  readonly target: () => StructNode
}
export interface NullableNode {
  readonly kind: 'nullable'
  readonly inner: Node
}
export interface NdarrayNode {
  readonly kind: 'ndarray'
  readonly dtype: Dtype | undefined
}
export interface OptionalNode {
  readonly kind: 'optional'
  readonly inner: Node
}

export type Node =
  PlainNode | BytesNode | ListNode | TupleNode | SetNode | DictNode | StructNode | RefNode | NullableNode | NdarrayNode

class SchemaValue<T> implements Schema<T> {
  declare readonly type: T
  readonly [nodeOf]: Node
  constructor(node: Node) {
    this[nodeOf] = node
  }
  toString(): string {
    return describe(this[nodeOf])
  }
}

class OptionalValue<T> implements OptionalSchema<T> {
  declare readonly type: T
  readonly optional = true
  readonly [nodeOf]: OptionalNode
  constructor(inner: Node) {
    this[nodeOf] = { kind: 'optional', inner }
  }
  toString(): string {
    return `optional(${describe(this[nodeOf].inner)})`
  }
}

/** The schema of a node; the caller vouches for `T`. */
export function schemaOf<T>(node: Node): Schema<T> {
  return Object.freeze(new SchemaValue<T>(node))
}

export function optionalOf<T>(inner: Node): OptionalSchema<T> {
  return Object.freeze(new OptionalValue<T>(inner))
}

/** A function that is a schema too, as `bytes` and `ndarray` are. */
export function callableSchema<T, F extends (...args: never[]) => unknown>(node: Node, make: F): Schema<T> & F {
  return Object.freeze(Object.assign(make, { [nodeOf]: node, type: undefined as T, toString: () => describe(node) }))
}

/** The node of a schema. Errors: `BUFFER_SCHEMA` for anything else. */
export function nodeIn(schema: Schema<unknown>, what = 'a schema'): Node {
  const node: Node | OptionalNode | undefined = (schema as Partial<Schema<unknown>> | undefined)?.[nodeOf]
  if (node === undefined) throw new BufferError('BUFFER_SCHEMA', `expected ${what}, got ${describeValue(schema)}`)
  if ((node.kind as string) === 'optional') {
    throw new BufferError(
      'BUFFER_SCHEMA',
      `${what}: only an attribute of a struct can be optional; nullable(...) goes anywhere`,
    )
  }
  return node
}

/** Tells a schema from the options that may stand in its place. */
export function isSchema(value: unknown): value is Schema<unknown> {
  return ((typeof value === 'object' && value !== null) || typeof value === 'function') && nodeOf in value
}

/** Whether a schema holds one of these kinds anywhere, not following references. */
export function holdsKind(node: Node, kinds: readonly Node['kind'][]): boolean {
  if (kinds.includes(node.kind)) return true
  const holds = (inner: Node): boolean => holdsKind(inner, kinds)
  switch (node.kind) {
    case 'list':
    case 'set':
      return holds(node.item)
    case 'tuple':
      return node.items.some(holds)
    case 'dict':
      return holds(node.key) || holds(node.value)
    case 'nullable':
      return holds(node.inner)
    case 'struct':
      return node.attributes.some((attribute) => holds(attribute.node))
    default:
      return false
  }
}

/** A node as a user would write it: `list(str)`. */
export function describe(node: Node): string {
  switch (node.kind) {
    case 'list':
    case 'set':
      return `${node.kind}(${describe(node.item)})`
    case 'tuple':
      return `tuple(${node.items.map(describe).join(', ')})`
    case 'dict':
      return `dict(${describe(node.key)}, ${describe(node.value)})`
    case 'struct':
      return node.name
    case 'ref':
      return `ref(${node.target().name})`
    case 'nullable':
      return `nullable(${describe(node.inner)})`
    case 'ndarray':
      return node.dtype === undefined ? 'ndarray' : `ndarray('${node.dtype}')`
    default:
      return node.kind
  }
}

/** A value in an error message: short, and never with its content at length. */
export function describeValue(value: unknown): string {
  if (value === null) return 'null'
  if (typeof value === 'string') return value.length > 40 ? `a string of ${value.length}` : JSON.stringify(value)
  if (typeof value === 'bigint') return `${value}n`
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  if (typeof value !== 'object') return value === undefined ? 'undefined' : `a ${typeof value}`
  if (Array.isArray(value)) return `an array of ${value.length}`
  const name = (Object.getPrototypeOf(value) as { constructor?: { name?: unknown } } | null)?.constructor?.name
  return typeof name !== 'string' || name === 'Object' ? 'an object' : `a ${name}`
}
