// Reads parts of a keyspace with the reader itself, batch by batch, so that a test can change the keyspace in between.
import { connect } from 'node:net'
import { toRecords } from '../../../../src/codec/batch.ts'
import type { RunContext } from '../../../../src/pipeline/define.ts'
import { type KeysOptions, keys } from '../../../../src/pipeline/readers/keys.ts'
import type { Deployment } from '../../../../src/redis/deployment.ts'

const defaults: KeysOptions = { pattern: '*', values: false, binary: false }

export interface Reading {
  readonly records: unknown[]
  readonly failures: unknown[]
  readonly skipped: number
}

export async function splitsOf(
  deployment: Deployment,
  options: Partial<KeysOptions> = {},
): Promise<{ count: number; data: unknown }> {
  const context = { deployment, namespace: 'gm', uploads: 0, dry: false, upload: () => unexpected() }
  return keys.splits({ ...defaults, ...options }, context, undefined)
}

/** What the parts of one plan agree on. */
const agreements = new WeakMap<object, Map<string, string>>()

export async function readPart(
  deployment: Deployment,
  data: unknown,
  index: number,
  options: Partial<KeysOptions> = {},
  between: (batches: number) => Promise<void> | void = () => undefined,
): Promise<Reading> {
  const records: unknown[] = []
  const failures: unknown[] = []
  let skipped = 0
  const context = {
    task: {
      signal: new AbortController().signal,
      agree: async (name: string, value: string) => {
        const agreed = agreements.get(data as object) ?? new Map<string, string>()
        agreements.set(data as object, agreed)
        if (!agreed.has(name)) agreed.set(name, value)
        return agreed.get(name)
      },
      count: (counts: { readonly skipped?: number }) => void (skipped += counts.skipped ?? 0),
    } as unknown as RunContext['task'],
    environment: { worker: 'test', scratch: '', deployment, namespace: 'gm' },
    fail: (thrown: unknown) => void failures.push(thrown),
  }
  let batches = 0
  for await (const { batch } of keys.read({ ...defaults, ...options }, { index, data }, context, [])) {
    records.push(...toRecords(batch))
    await between(++batches)
  }
  return { records, failures, skipped }
}

function unexpected(): never {
  throw new Error('nothing is uploaded')
}

/** Many commands on one server, written without waiting. */
export async function flood(
  server: { readonly port: number },
  count: number,
  command: (i: number) => readonly string[],
): Promise<void> {
  const socket = connect(server.port, '127.0.0.1')
  let text = ''
  for (let i = 0; i < count; i++) {
    const args = command(i)
    text += `*${args.length}\r\n`
    for (const arg of args) text += `$${Buffer.byteLength(arg)}\r\n${arg}\r\n`
  }
  await new Promise<void>((resolve, reject) => {
    socket.on('error', reject)
    let answers = 0
    socket.on('data', (chunk) => {
      for (const byte of chunk) if (byte === 10) answers++
      if (answers >= count) resolve()
    })
    socket.write(text)
  })
  socket.destroy()
}
