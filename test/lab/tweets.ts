// The input of the word count lab: CSV files of 7 columns, and the counts that a serial program finds in them.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface TweetOptions {
  readonly files?: number
  readonly rows?: number
  /** Different words. Default 200. */
  readonly words?: number
  readonly header?: boolean
  readonly encoding?: 'utf-8' | 'latin1'
}

export interface Tweets extends AsyncDisposable {
  /** A glob of the files. */
  readonly glob: string
  readonly files: readonly string[]
  /** The size of splits that makes one of each file. */
  readonly splitBytes: number
  /** What `split(' ')` of the text column counts, over all files. */
  readonly counts: ReadonlyMap<string, number>
  /** A word that only this file has, once. */
  markOf(file: number): string
}

const columns = ['id', 'date', 'user', 'language', 'likes', 'text', 'source']
/** The number of the text column. */
export const textColumn = columns.indexOf('text')

/** The same options make the same files. */
export async function makeTweets(options: TweetOptions = {}): Promise<Tweets> {
  const { files = 12, rows = 60, words = 200, header = true, encoding = 'utf-8' } = options
  const dir = await mkdtemp(join(tmpdir(), 'gearmill-lab-'))
  const counts = new Map<string, number>()
  const random = numbers(7)
  const markOf = (file: number): string => `mark${file}`
  const paths: string[] = []
  let splitBytes = 0
  for (let file = 0; file < files; file++) {
    const lines = header ? [columns.join(',')] : []
    for (let row = 0; row < rows; row++) {
      const text = row === 0 ? markOf(file) : tweet(random, words)
      for (const word of text.split(' ')) counts.set(word, (counts.get(word) ?? 0) + 1)
      lines.push([file * rows + row, '2020-01-01', `u${row}`, 'en', row % 9, quoted(text), '"web, app"'].join(','))
    }
    const path = join(dir, `tweets-${String(file).padStart(3, '0')}.csv`)
    const bytes = Buffer.from(`${lines.join('\n')}\n`, encoding === 'latin1' ? 'latin1' : 'utf8')
    await writeFile(path, bytes)
    splitBytes = Math.max(splitBytes, bytes.length)
    paths.push(path)
  }
  return {
    glob: join(dir, '*.csv'),
    files: paths,
    splitBytes,
    counts,
    markOf,
    [Symbol.asyncDispose]: () => rm(dir, { recursive: true, force: true }),
  }
}

// Empty words, quotes, separators and line ends inside of the text, letters outside of ASCII; few words are frequent.
function tweet(random: () => number, words: number): string {
  const length = 1 + Math.floor(random() * 12)
  return Array.from({ length }, () => {
    const word = Math.floor(words * random() ** 3)
    switch (word % 11) {
      case 3:
        return ''
      case 5:
        return `"w${word}"`
      case 7:
        return `é${word},ü`
      case 9:
        return `w${word}\nw${word}`
      default:
        return `w${word}`
    }
  }).join(' ')
}

function quoted(text: string): string {
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

function numbers(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}
