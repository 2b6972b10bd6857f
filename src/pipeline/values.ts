// The values of with() in an executor: plain ones as they came, those of onWorker() made here.
import { isOnWorker, type OnWorker } from '../code/resource.ts'
import { GearmillError } from '../errors.ts'

/** Closes what onWorker() made, in the way that it offers. */
export async function closeValues(values: object, loaded: object): Promise<void> {
  for (const [name, value] of Object.entries(values)) {
    if (isOnWorker(value)) await closeResource((loaded as Record<string, unknown>)[name])
  }
}

const closers = [Symbol.asyncDispose, Symbol.dispose, 'close', 'quit', 'end', 'destroy'] as const

async function closeResource(resource: unknown): Promise<void> {
  if ((typeof resource !== 'object' && typeof resource !== 'function') || resource === null) return
  const held = resource as Partial<Record<(typeof closers)[number], unknown>>
  const closer = closers.find((name) => typeof held[name] === 'function')
  if (closer !== undefined) await (held[closer] as () => unknown).call(resource)
}

async function made(name: string, resource: OnWorker<unknown>): Promise<unknown> {
  try {
    return await resource.make()
  } catch (cause) {
    const why = cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause)
    throw new GearmillError('EXECUTION_RESOURCE', `with({ ${name}: onWorker(f) }): f threw ${why}`, { cause })
  }
}

export async function loadValues(values: object): Promise<object> {
  const loaded = await Promise.all(
    Object.entries(values).map(async ([name, value]): Promise<[string, unknown]> => [
      name,
      isOnWorker(value) ? await made(name, value) : value,
    ]),
  )
  return Object.fromEntries(loaded)
}
