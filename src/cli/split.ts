// `gearmill split`: a big CSV into small ones. Works on bytes, so any encoding in which quotes and line ends are ASCII passes
// through unchanged. The parts appear together at the end, or not at all.
import { mkdir, mkdtemp, open, rename, rm, stat, type FileHandle } from 'node:fs/promises'
import { basename, dirname, extname, join, resolve } from 'node:path'
import { Command, InvalidArgumentError } from 'commander'
import { PlanError } from '../errors.ts'
import { counted, flagsOf, print, say, wholeNumber, withCommonFlags, type Cli, type CommonFlags } from './cli.ts'
import { RowScanner } from './csv-rows.ts'
import { startProgress } from './progress.ts'

interface SplitFlags extends CommonFlags {
  readonly rows: number
  readonly out?: string
  readonly header: boolean
  readonly force?: boolean
  readonly delimiter: string
  readonly quote: string
}

interface Part {
  readonly path: string
  rows: number
  bytes: number
}

const chunkBytes = 1 << 20
/** A header longer than this is a file without line ends, or with a quote that is never closed. */
const longestHeader = 1 << 20

export function splitCommand(cli: Cli): Command {
  const command = new Command('split')
    .summary('split a big CSV file into small ones')
    .description(
      'Splits a CSV file into parts of at most --rows rows. The header line is repeated in each part; line ends inside of quotes do not end a row. Prints the path of each part.',
    )
    .argument('<file>', 'the CSV file')
    .requiredOption('--rows <n>', 'rows per part, without the header', wholeNumber(1))
    .option('--out <dir>', 'where the parts go; made if missing (default: beside the file)')
    .option('--no-header', 'the first line is a row like any other')
    .option('--delimiter <character>', 'what separates the columns', oneByte, ',')
    .option('--quote <character>', 'what columns are quoted with', oneByte, '"')
    .option('--force', 'replace parts that are there')
  return withCommonFlags(command).action(async (file: string) => {
    const flags = flagsOf<SplitFlags>(command)
    const parts = await splitFile(cli, file, flags)
    const rows = parts.reduce((sum, part) => sum + part.rows, 0)
    if (flags.json === true) print(cli, JSON.stringify({ rows, parts }))
    else for (const part of parts) print(cli, part.path)
    if (flags.json !== true) say(cli, `${counted(rows, 'row')} in ${counted(parts.length, 'file')}`)
  })
}

async function splitFile(cli: Cli, file: string, flags: SplitFlags): Promise<Part[]> {
  const path = resolve(cli.cwd, file)
  const directory = flags.out === undefined ? dirname(path) : resolve(cli.cwd, flags.out)
  const source = await openSource(path)
  let temporary: string | undefined
  let writer: PartWriter | undefined
  try {
    await mkdir(directory, { recursive: true })
    temporary = await mkdtemp(join(directory, '.split-'))
    writer = new PartWriter(temporary, flags.rows)
    await copyRows(cli, source, path, flags, writer)
    await writer.close()
    return await publish(writer.parts, path, directory, flags.force === true)
  } catch (error) {
    throw readable(error, path)
  } finally {
    await writer?.close()
    await source.close()
    if (temporary !== undefined) await rm(temporary, { recursive: true, force: true })
  }
}

async function openSource(path: string): Promise<FileHandle> {
  try {
    if ((await stat(path)).isDirectory())
      throw new PlanError('PLAN_FILE', `${path} is a directory`, { hint: 'Name one file in it.' })
    return await open(path)
  } catch (error) {
    throw readable(error, path)
  }
}

/** Errors of the file system get a code; others are what they are. */
function readable(error: unknown, path: string): unknown {
  const { code, path: failed } = error as NodeJS.ErrnoException
  if (typeof code !== 'string' || error instanceof PlanError || !(error instanceof Error)) return error
  return new PlanError('PLAN_FILE', `${failed ?? path}: ${error.message}`, {
    cause: error,
    hint: 'Check the path and the rights.',
  })
}

/** Reads the file once, cutting it at the ends of rows. */
async function copyRows(
  cli: Cli,
  source: FileHandle,
  path: string,
  flags: SplitFlags,
  writer: PartWriter,
): Promise<void> {
  const { size } = await source.stat()
  const scanner = new RowScanner({ delimiter: flags.delimiter.charCodeAt(0), quote: flags.quote.charCodeAt(0) })
  const progress = startProgress(cli.stderr, { label: basename(path), unit: 'bytes' })
  const buffer = Buffer.allocUnsafe(chunkBytes)
  let header: Buffer[] | undefined = flags.header ? [] : undefined
  let read = 0
  for (;;) {
    cli.signal.throwIfAborted()
    const { bytesRead } = await source.read(buffer, 0, chunkBytes, null)
    if (bytesRead === 0) break
    read += bytesRead
    for (let from = 0; from < bytesRead;) {
      const { to, rows } = scanner.take(buffer.subarray(0, bytesRead), from, header === undefined ? writer.room : 1)
      const bytes = buffer.subarray(from, to)
      from = to
      if (header === undefined) {
        await writer.write(bytes, rows)
        continue
      }
      header.push(Buffer.from(bytes))
      if (rows === 0) continue
      writer.header = Buffer.concat(header)
      header = undefined
    }
    if (header !== undefined && read > longestHeader) {
      throw new PlanError('PLAN_CSV', `${path}:1: the header does not end within 1 MiB`)
    }
    progress.update(read, size)
  }
  if (scanner.openSince !== undefined) {
    throw new PlanError('PLAN_CSV', `${path}:${scanner.openSince}: a quoted column begins here and is never closed`)
  }
  progress.end()
}

function oneByte(text: string): string {
  const character = text === '\\t' ? '\t' : text
  if (Buffer.byteLength(character) === 1) return character
  throw new InvalidArgumentError('Expected one ASCII character.')
}

/** Gives the parts their names in the target folder. */
async function publish(parts: readonly Part[], source: string, directory: string, force: boolean): Promise<Part[]> {
  const extension = extname(source)
  const stem = basename(source, extension)
  const digits = Math.max(4, String(parts.length).length)
  const named = parts.map((part, index) => {
    const name = `${stem}-${String(index + 1).padStart(digits, '0')}${extension}`
    return { from: part.path, to: { ...part, path: join(directory, name) } }
  })
  for (const { to } of force ? [] : named) {
    const exists = await stat(to.path).then(
      () => true,
      () => false,
    )
    if (exists)
      throw new PlanError('PLAN_FILE', `${to.path} exists`, { hint: 'Choose another --out, or replace with --force.' })
  }
  for (const { from, to } of named) await rename(from, to.path)
  return named.map(({ to }) => to)
}

/** Writes rows into parts, each with the header. */
class PartWriter {
  readonly parts: Part[] = []
  header: Buffer = Buffer.alloc(0)
  readonly #directory: string
  readonly #rowsPerPart: number
  #file: FileHandle | undefined
  #insideRow = false

  constructor(directory: string, rowsPerPart: number) {
    this.#directory = directory
    this.#rowsPerPart = rowsPerPart
  }

  /** How many rows may end in the part that is being written. */
  get room(): number {
    return this.#rowsPerPart - (this.#file === undefined ? 0 : (this.parts.at(-1)?.rows ?? 0))
  }

  /** Adds bytes in which `rows` rows end, no more than there is room for. */
  async write(bytes: Uint8Array, rows: number): Promise<void> {
    this.#file ??= await this.#start()
    await this.#file.writeFile(bytes)
    const part = this.parts.at(-1)
    if (part === undefined) return
    part.bytes += bytes.length
    part.rows += rows
    this.#insideRow = bytes.at(-1) !== 0x0a
    if (rows > 0 && part.rows === this.#rowsPerPart) await this.close()
  }

  /** Ends the part; a last row without a line end counts too. */
  async close(): Promise<void> {
    const part = this.parts.at(-1)
    if (this.#file === undefined || part === undefined) return
    if (this.#insideRow) part.rows++
    this.#insideRow = false
    await this.#file.close()
    this.#file = undefined
  }

  async #start(): Promise<FileHandle> {
    const part = { path: join(this.#directory, String(this.parts.length)), rows: 0, bytes: this.header.length }
    const file = await open(part.path, 'wx')
    this.parts.push(part)
    await file.writeFile(this.header)
    return file
  }
}
