// The schema in a file: the structs in a table, so that they can name themselves and each other, and the roots.
// Reading it is reading hostile data: every part is checked, and nesting is bounded.
import { BufferError } from '../errors.ts'
import { dtypes, plainKinds, type Attribute, type Dtype, type Node, type StructNode } from './schema.ts'

/** `'str'`, `['list', 'u8']`, `['struct', 0]`, `['ref', 0]`, ... */
export type NodeJson = string | readonly [string, ...(NodeJson | number | null)[]]

export interface SchemaJson {
  readonly structs: readonly StructJson[]
  readonly roots: readonly NodeJson[]
}

interface StructJson {
  readonly name: string
  /** Name, type, and 1 for an attribute that may be absent. */
  readonly attributes: readonly (readonly [string, NodeJson, 0 | 1])[]
}

/** Schemas nested deeper than this are refused; recursion goes through ref(). */
const DEEPEST = 64
const MOST_ATTRIBUTES = 10_000

/** One node per plain type: all strings of a schema are interned together. */
const plainNodes: ReadonlyMap<unknown, Node> = new Map(plainKinds.map((kind) => [kind, { kind }]))

export function schemaToJson(roots: readonly Node[]): SchemaJson {
  const places = new Map<StructNode, number>()
  const structs: StructJson[] = []
  const place = (struct: StructNode, depth: number): number => {
    const known = places.get(struct)
    if (known !== undefined) return known
    const index = structs.length
    places.set(struct, index)
    structs.push({ name: struct.name, attributes: [] })
    const attributes = struct.attributes.map(
      ({ name, node, optional }) => [name, write(node, depth + 1), optional ? 1 : 0] as const,
    )
    structs[index] = { name: struct.name, attributes }
    return index
  }
  const write = (node: Node, depth: number): NodeJson => {
    if (depth > DEEPEST) throw new BufferError('BUFFER_SCHEMA', `a schema is nested deeper than ${DEEPEST}`)
    switch (node.kind) {
      case 'bytes':
        return ['bytes', node.compress ? 1 : 0]
      case 'list':
      case 'set':
        return [node.kind, write(node.item, depth + 1)]
      case 'tuple':
        return ['tuple', ...node.items.map((item) => write(item, depth + 1))]
      case 'dict':
        return ['dict', write(node.key, depth + 1), write(node.value, depth + 1)]
      case 'nullable':
        return ['nullable', write(node.inner, depth + 1)]
      case 'ndarray':
        return ['ndarray', node.dtype ?? null]
      case 'struct':
        return ['struct', place(node, depth)]
      case 'ref':
        // What a reference leads to is not nested in it.
        return ['ref', place(node.target(), 0)]
      default:
        return node.kind
    }
  }
  return { roots: roots.map((root) => write(root, 0)), structs }
}

/** Schemas that were read: the same schema gives the same nodes, so that files of one kind share their codecs. */
const parsed = new Map<string, readonly Node[]>()
const MOST_PARSED = 64
const LONGEST_PARSED = 65_536

/** Errors: `BUFFER_CORRUPT`. */
export function schemaFromJson(json: unknown): readonly Node[] {
  const key = textOf(json)
  const known = parsed.get(key)
  if (known) return known
  const nodes = parse(json)
  if (key.length > LONGEST_PARSED) return nodes
  const [oldest] = parsed.keys()
  if (parsed.size >= MOST_PARSED && oldest !== undefined) parsed.delete(oldest)
  parsed.set(key, nodes)
  return nodes
}

/** JSON.parse takes any depth, JSON.stringify does not. */
function textOf(json: unknown): string {
  try {
    return JSON.stringify(json ?? null)
  } catch {
    return wrong('the depth of the schema')
  }
}

function parse(json: unknown): readonly Node[] {
  const source = record(json, 'the schema')
  const structs = array(source['structs'], 'structs').map((entry, index) => {
    const { name } = record(entry, `struct ${index}`)
    const attributes: Attribute[] = []
    return { kind: 'struct' as const, name: text(name, 'the name of a struct'), attributes }
  })
  const structAt = (index: unknown) => structs[integer(index)] ?? wrong('the place of a struct')
  const read = (value: unknown, depth: number): Node => {
    if (depth > DEEPEST) wrong(`a schema nested deeper than ${DEEPEST}`)
    if (typeof value === 'string') return plainNodes.get(value) ?? wrong('a type')
    const [kind, ...rest] = array(value, 'a type')
    const item = (index: number) => read(rest[index], depth + 1)
    switch (kind) {
      case 'bytes':
        return { kind, compress: rest[0] === 1 }
      case 'list':
        return { kind, item: item(0) }
      case 'set':
        return { kind, item: item(0) }
      case 'tuple':
        return { kind, items: rest.map((_, index) => item(index)) }
      case 'dict':
        return { kind, key: item(0), value: item(1) }
      case 'nullable':
        return { kind, inner: item(0) }
      case 'ndarray':
        return { kind, dtype: rest[0] === null ? undefined : dtype(rest[0]) }
      case 'struct':
        return structAt(rest[0])
      case 'ref': {
        const target = structAt(rest[0])
        return { kind, target: () => target }
      }
      default:
        return wrong('a type')
    }
  }
  array(source['structs'], 'structs').forEach((entry, index) => {
    const names = new Set<string>()
    const attributes = array(record(entry, 'a struct')['attributes'], 'attributes')
    if (attributes.length > MOST_ATTRIBUTES) wrong('the number of attributes')
    for (const attribute of attributes) {
      const [rawName, type, optional] = array(attribute, 'an attribute')
      const name = text(rawName, 'the name of an attribute')
      if (names.has(name)) wrong(`two attributes ${JSON.stringify(name)}`)
      names.add(name)
      structs[index]?.attributes.push({ name, node: read(type, 1), optional: optional === 1 })
    }
  })
  const roots = array(source['roots'], 'roots').map((root) => read(root, 0))
  const heights = new Map<Node, number>()
  for (const node of [...structs, ...roots]) heightOf(node, heights)
  return roots
}

/** How deep a node is nested. Refuses what is too deep, and a struct that holds itself other than through ref(). */
export function heightOf(node: Node, known = new Map<Node, number>(), depth = 0): number {
  const before = known.get(node)
  if (before !== undefined) return before
  if (depth > DEEPEST) wrong(`a schema nested deeper than ${DEEPEST}`)
  known.set(node, Infinity)
  let height = 0
  for (const child of childrenOf(node)) height = Math.max(height, heightOf(child, known, depth + 1) + 1)
  if (height > DEEPEST) wrong(`a schema nested deeper than ${DEEPEST}, or a struct that holds itself without ref(),`)
  known.set(node, height)
  return height
}

function childrenOf(node: Node): readonly Node[] {
  switch (node.kind) {
    case 'struct':
      return node.attributes.map((attribute) => attribute.node)
    case 'list':
    case 'set':
      return [node.item]
    case 'nullable':
      return [node.inner]
    case 'tuple':
      return node.items
    case 'dict':
      return [node.key, node.value]
    default:
      return []
  }
}

function wrong(what: string): never {
  throw new BufferError('BUFFER_CORRUPT', `${what} in the directory of the file is not possible`)
}

export function record(value: unknown, what: string): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) wrong(what)
  return value as Readonly<Record<string, unknown>>
}

export function array(value: unknown, what: string): readonly unknown[] {
  return Array.isArray(value) ? value : wrong(what)
}

function text(value: unknown, what: string): string {
  return typeof value === 'string' ? value : wrong(what)
}

/** A number from the directory: a whole one, not negative. */
export function integer(value: unknown): number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : wrong('a number')
}

function dtype(value: unknown): Dtype {
  return dtypes.find((known) => known === value) ?? wrong('the type of an ndarray')
}
