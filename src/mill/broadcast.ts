// `mill.broadcast(buffer)`: a shared buffer as a side input. It travels as the path of its file, which each executor maps when
// a function first needs it, and once.
import { BufferArray, openArray } from '../buffers/array.ts'
import { BufferMap, openMap } from '../buffers/map.ts'
import { PlanError } from '../errors.ts'
import { refuse } from '../pipeline/options.ts'

/** Known to executors by this, the kind, and the path. */
export const broadcastPrefix = 'mill.broadcast:'

/** The name of a shared buffer in executors. Throws PLAN_OPTION. */
export function broadcastName(buffer: unknown): string {
  const { kind, path } = placeOf(buffer)
  return `${broadcastPrefix}${kind}:${path}`
}

function placeOf(buffer: unknown): { readonly kind: 'array' | 'map'; readonly path: string } {
  if (buffer instanceof BufferArray) return { kind: 'array', path: buffer.path }
  if (buffer instanceof BufferMap) return { kind: 'map', path: buffer.path }
  return refuse('broadcast', 'a shared buffer of openArray() or openMap()', buffer)
}

/** Executor side. Throws PLAN_FILE where the file is not there. */
export function openBroadcast(name: string): BufferArray<unknown> | BufferMap<unknown, unknown> {
  const colon = name.indexOf(':')
  const path = name.slice(colon + 1)
  try {
    return name.slice(0, colon) === 'array' ? openArray<unknown>(path) : openMap(path)
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    const message = `broadcast: this worker cannot open ${path}: ${why}; workers have to see the file under the same path`
    throw new PlanError('PLAN_FILE', message, { cause })
  }
}
