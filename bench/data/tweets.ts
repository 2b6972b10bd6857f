// Makes tweet-like CSV files for word counts of any size: seven columns, 8 to 24 words a tweet drawn by Zipf's law from a
// vocabulary. The same arguments give the same bytes. Usage:
//   tsx data/tweets.ts OUT_DIR TOTAL_MB FILES [--vocab 300000] [--s 1.07] [--seed 20240607]
import { createHash } from 'node:crypto'
import { mkdir, open, writeFile, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { argv, exit, stderr } from 'node:process'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { makeVocabulary, Random, ZipfSampler, type Vocabulary } from './zipf.ts'

export interface TweetOptions {
  readonly out: string
  /** Bytes of all files together; each ends with the row that reaches its share. */
  readonly totalBytes: number
  readonly files: number
  /** Default: 300,000. */
  readonly vocabulary?: number
  /** The exponent of Zipf's law. Default: 1.07. */
  readonly s?: number
  readonly seed?: number
}

export interface TweetFile {
  readonly file: string
  readonly rows: number
  readonly words: number
  readonly bytes: number
  readonly sha256: string
}

export interface Manifest {
  readonly args: { readonly vocabulary: number; readonly s: number; readonly seed: number }
  readonly files: readonly TweetFile[]
  readonly rows: number
  readonly words: number
  readonly bytes: number
}

const header = Buffer.from('target,id,date,flag,user,text,extra\n')
const bufferBytes = 4 << 20
/** More than the longest row: 24 words of 12 letters, and the other columns. */
const longestRow = 512

/** Writes the files, `vocab.txt` (a word a line, in order of rank) and `manifest.json`. */
export async function makeTweets(options: TweetOptions): Promise<Manifest> {
  const { out, totalBytes, files, vocabulary: size = 300_000, s = 1.07, seed = 20_240_607 } = options
  await mkdir(out, { recursive: true })
  const vocabulary = makeVocabulary(size, new Random(seed, 0))
  await writeFile(join(out, 'vocab.txt'), wordLines(vocabulary))
  const sampler = new ZipfSampler(size, s)
  const made: TweetFile[] = []
  for (let index = 0; index < files; index++) {
    const writer = new TweetWriter(vocabulary, sampler, new Random(seed, index + 1), index)
    made.push(await writer.write(out, Math.floor(totalBytes / files)))
  }
  const sum = (field: 'rows' | 'words' | 'bytes'): number => made.reduce((total, file) => total + file[field], 0)
  const args = { vocabulary: size, s, seed }
  const manifest = { args, files: made, rows: sum('rows'), words: sum('words'), bytes: sum('bytes') }
  await writeFile(join(out, 'manifest.json'), `${JSON.stringify(manifest, null, 1)}\n`)
  return manifest
}

function wordLines({ bytes, offsets }: Vocabulary): Buffer {
  const lines = Buffer.alloc(bytes.length + offsets.length - 1, '\n')
  for (let word = 0; word + 1 < offsets.length; word++) {
    lines.set(bytes.subarray(offsets[word], offsets[word + 1]), (offsets[word] ?? 0) + word)
  }
  return lines
}

class TweetWriter {
  readonly #vocabulary: Vocabulary
  readonly #sampler: ZipfSampler
  readonly #random: Random
  readonly #index: number
  readonly #buffer = Buffer.allocUnsafe(bufferBytes)
  #end = 0
  #rows = 0
  #words = 0

  constructor(vocabulary: Vocabulary, sampler: ZipfSampler, random: Random, index: number) {
    this.#vocabulary = vocabulary
    this.#sampler = sampler
    this.#random = random
    this.#index = index
  }

  async write(out: string, target: number): Promise<TweetFile> {
    const name = `part-${String(this.#index).padStart(4, '0')}.csv`
    const file = await open(join(out, name), 'w')
    const hash = createHash('sha256')
    let bytes = 0
    try {
      this.#end = header.copy(this.#buffer)
      for (;;) {
        while (this.#end < bufferBytes - longestRow && bytes + this.#end < target) this.#row()
        await this.#flush(file, hash)
        bytes += this.#end
        this.#end = 0
        if (bytes >= target) break
      }
    } finally {
      await file.close()
    }
    return { file: name, rows: this.#rows, words: this.#words, bytes, sha256: hash.digest('hex') }
  }

  async #flush(file: FileHandle, hash: ReturnType<typeof createHash>): Promise<void> {
    const filled = this.#buffer.subarray(0, this.#end)
    hash.update(filled)
    await file.writeFile(filled)
  }

  #row(): void {
    const random = this.#random
    const second = random.below(86_400)
    this.#text(random.below(2) === 0 ? '0,' : '4,')
    this.#number(1_467_810_000 + this.#index * 10_000_000 + this.#rows, 1)
    this.#text(',Mon Apr ')
    this.#number(1 + random.below(28), 2)
    this.#text(' ')
    this.#number(Math.floor(second / 3600), 2)
    this.#text(':')
    this.#number(Math.floor(second / 60) % 60, 2)
    this.#text(':')
    this.#number(second % 60, 2)
    this.#text(' PDT 2009,NO_QUERY,user')
    this.#number(random.below(1_000_000), 1)
    this.#text(',"')
    const words = 8 + random.below(17)
    for (let i = 0; i < words; i++) {
      if (i > 0) this.#text(' ')
      this.#word(this.#sampler.sample(random))
    }
    this.#text('",x')
    this.#number(random.below(1000), 1)
    this.#text('\n')
    this.#rows++
    this.#words += words
  }

  /** Copying byte by byte is faster than a call for words this short. */
  #word(rank: number): void {
    const { bytes, offsets } = this.#vocabulary
    const buffer = this.#buffer
    let end = this.#end
    for (let at = offsets[rank] ?? 0, stop = offsets[rank + 1] ?? 0; at < stop; at++) buffer[end++] = bytes[at] ?? 0
    this.#end = end
  }

  #text(text: string): void {
    for (let i = 0; i < text.length; i++) this.#buffer[this.#end++] = text.charCodeAt(i)
  }

  /** Decimal digits, with zeros in front up to `width`. */
  #number(value: number, width: number): void {
    let digits = width
    for (let power = 10 ** width; power <= value; power *= 10) digits++
    let rest = value
    for (let at = this.#end + digits - 1; at >= this.#end; at--) {
      this.#buffer[at] = 48 + (rest % 10)
      rest = Math.floor(rest / 10)
    }
    this.#end += digits
  }
}

async function main(): Promise<void> {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: { vocab: { type: 'string' }, s: { type: 'string' }, seed: { type: 'string' } },
  })
  const [out, total, files = '1'] = positionals
  const numbers = { total: Number(total), files: Number(files) }
  if (out === undefined || !(numbers.total > 0) || !Number.isInteger(numbers.files) || numbers.files < 1) {
    stderr.write('usage: tsx data/tweets.ts OUT_DIR TOTAL_MB FILES [--vocab 300000] [--s 1.07] [--seed 20240607]\n')
    exit(2)
  }
  const started = performance.now()
  const manifest = await makeTweets({
    out,
    totalBytes: numbers.total * 1024 * 1024,
    files: numbers.files,
    ...(values.vocab !== undefined && { vocabulary: Number(values.vocab) }),
    ...(values.s !== undefined && { s: Number(values.s) }),
    ...(values.seed !== undefined && { seed: Number(values.seed) }),
  })
  const seconds = (performance.now() - started) / 1000
  const speed = manifest.bytes / 1024 / 1024 / seconds
  stderr.write(`${manifest.rows} rows, ${manifest.words} words, ${manifest.bytes} bytes: ${speed.toFixed(0)} MiB/s\n`)
}

if (argv[1] !== undefined && import.meta.url === pathToFileURL(argv[1]).href) await main()
