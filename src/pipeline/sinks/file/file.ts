// toFile(path, { format, single }): a directory of parts, one for each task that had records, or one file. Attempts write
// beside the target under names of their own, and say in their block which; the last stage publishes those that count.
import { randomBytes } from 'node:crypto'
import { appendFile, open, writeFile } from 'node:fs/promises'
import { BufferWriter } from '../../../buffers/array-writer.ts'
import { schemaFromJson } from '../../../buffers/schema-json.ts'
import { type Node, schemaOf } from '../../../buffers/schema.ts'
import { PlanError } from '../../../errors.ts'
import { type Collector, type MergeContext, type ShuffleContext, defineSink } from '../../define.ts'
import { RecordCollector, allBatches } from '../../shuffle/stream.ts'
import { type RowWriter, rowWriter } from './rows.ts'
import { type Part, Staging } from './staging.ts'

export type FileFormat = 'jsonl' | 'csv' | 'buffer'

export interface FileSinkOptions {
  /** Absolute. */
  readonly path: string
  readonly format: FileFormat
  readonly single: boolean
  /** Of shared buffers, as plain data. */
  readonly schema?: unknown
}

/** Text that is kept before it is written, in characters. */
const writtenAt = 256 * 1024

/** A file that grows by records. Leaves no handle open between two calls. */
interface Target {
  readonly records: number
  /** What it throws is the record's error. */
  add(record: unknown): void
  drain(): Promise<void> | undefined
  /** The file is on the disk. */
  end(): Promise<void>
}

class TextTarget implements Target {
  records = 0
  readonly #path: string
  readonly #rows: RowWriter
  #waiting = ''

  constructor(path: string, format: 'jsonl' | 'csv') {
    this.#path = path
    this.#rows = rowWriter(format)
  }

  add(record: unknown): void {
    this.#waiting += this.#rows.row(record)
    this.records++
  }

  drain(): Promise<void> | undefined {
    if (this.#waiting.length < writtenAt) return undefined
    const text = this.#waiting
    this.#waiting = ''
    return appendFile(this.#path, text)
  }

  async end(): Promise<void> {
    await (this.records === 0 ? writeFile(this.#path, '') : appendFile(this.#path, this.#waiting))
    const file = await open(this.#path, 'r+')
    try {
      await file.datasync()
    } finally {
      await file.close()
    }
  }
}

class BufferTarget implements Target {
  readonly #path: string
  readonly #schema: unknown
  readonly #signal: AbortSignal
  #writer: BufferWriter<unknown> | undefined
  // The file cannot be opened: that is no record's fault.
  #broken: Error | undefined

  constructor(path: string, schema: unknown, signal: AbortSignal) {
    this.#path = path
    this.#schema = schema
    this.#signal = signal
  }

  get records(): number {
    return this.#writer?.length ?? 0
  }

  #open(): BufferWriter<unknown> {
    if (this.#writer === undefined) {
      const writer = new BufferWriter<unknown>(this.#path, schemaOf(schemaFromJson(this.#schema)[0] as Node))
      this.#signal.addEventListener('abort', () => writer.abort(), { once: true })
      this.#writer = writer
    }
    return this.#writer
  }

  add(record: unknown): void {
    if (this.#broken !== undefined) return
    try {
      this.#open()
    } catch (error) {
      this.#broken = error as Error
      return
    }
    try {
      this.#writer?.append(record)
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause)
      throw new PlanError('PLAN_RECORD', `toFile: a record is not what the schema says: ${why}`, { cause })
    }
  }

  drain(): Promise<void> | undefined {
    return this.#broken === undefined ? undefined : Promise.reject(this.#broken)
  }

  async end(): Promise<void> {
    await this.drain()
    await this.#open().close()
  }
}

function targetOf(options: FileSinkOptions, path: string, signal: AbortSignal): Target {
  return options.format === 'buffer'
    ? new BufferTarget(path, options.schema, signal)
    : new TextTarget(path, options.format)
}

function fileOfAttempt(task: number | 'single'): string {
  return `${task}.${randomBytes(6).toString('hex')}`
}

function partOf({ format }: FileSinkOptions, task: number): string {
  return `part-${String(task).padStart(5, '0')}.${format === 'buffer' ? 'gmb' : format}`
}

/** Writes the part of one attempt, and tells the last stage of it. */
class PartCollector implements Collector {
  readonly #staging: Staging
  readonly #file: string
  readonly #part: string
  readonly #target: Target
  readonly #parts: RecordCollector

  constructor(options: FileSinkOptions, context: ShuffleContext) {
    const { execution, task, signal } = context.task
    this.#staging = new Staging(options.path, execution)
    this.#file = fileOfAttempt(task)
    this.#part = partOf(options, task)
    this.#target = targetOf(options, this.#staging.file(this.#file), signal)
    this.#parts = new RecordCollector(context)
  }

  add(record: unknown): void {
    this.#target.add(record)
  }

  drain(): Promise<void> | undefined {
    return this.#target.drain()?.catch((error: unknown) => {
      throw this.#staging.failed(error)
    })
  }

  async end(): Promise<void> {
    const { records } = this.#target
    if (records > 0) {
      try {
        await this.#target.end()
      } catch (error) {
        throw this.#staging.failed(error)
      }
      this.#parts.add({ file: this.#file, name: this.#part, records } satisfies Part)
    }
    await this.#parts.end()
  }
}

/** How many records the target has. */
async function recordsOf({ single }: FileSinkOptions, context: MergeContext): Promise<number> {
  let sum = 0
  for await (const batch of allBatches(context)) {
    sum += single ? batch.length : (batch as readonly Part[]).reduce((total, { records }) => total + records, 0)
  }
  return sum
}

async function publishParts(staging: Staging, options: FileSinkOptions, context: MergeContext): Promise<number> {
  const parts: Part[] = []
  for await (const batch of allBatches(context)) parts.push(...(batch as readonly Part[]))
  if (parts.length === 0) {
    // A part of nothing says more than an empty directory.
    const file = fileOfAttempt(0)
    await targetOf(options, staging.file(file), context.task.signal).end()
    parts.push({ file, name: partOf(options, 0), records: 0 })
  }
  await staging.publishDirectory(parts)
  return parts.reduce((sum, { records }) => sum + records, 0)
}

async function publishSingle(staging: Staging, options: FileSinkOptions, context: MergeContext): Promise<number> {
  const { signal } = context.task
  const file = fileOfAttempt('single')
  const target = targetOf(options, staging.file(file), signal)
  for await (const batch of allBatches(context)) {
    signal.throwIfAborted()
    for (const record of batch) {
      try {
        target.add(record)
      } catch (thrown) {
        context.fail(thrown, record)
      }
    }
    await target.drain()
  }
  await target.end()
  // Asked again: records may have failed here too.
  if (!(await context.mayPublish())) {
    await staging.remove()
    return 0
  }
  await staging.publishFile(file)
  return target.records
}

export const toFile = defineSink({
  name: 'toFile',
  describe: ({ path, format, single }: FileSinkOptions) =>
    `toFile(${JSON.stringify(path)}, { format: '${format}'${single ? ', single: true' : ''} })`,
  begin: ({ path, single }, execution) => new Staging(path, execution).open(single),
  publish: {
    collect: (options, _functions, context) =>
      options.single ? new RecordCollector(context) : new PartCollector(options, context),
    async finish(options, _functions, context) {
      const staging = new Staging(options.path, context.task.execution)
      if (!(await context.mayPublish())) {
        await staging.remove()
        return 0
      }
      // An attempt before published, removed the folder and died.
      if (staging.isGone && context.task.attempt > 1) return recordsOf(options, context)
      try {
        return await (options.single
          ? publishSingle(staging, options, context)
          : publishParts(staging, options, context))
      } catch (error) {
        throw staging.failed(error)
      }
    },
  },
})
