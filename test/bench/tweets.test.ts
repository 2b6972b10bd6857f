// The benchmark's data are what their manifest says, the same each time, and follow their law.
import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { makeTweets, type TweetOptions } from '../../bench/data/tweets.ts'
import { Random, ZipfSampler } from '../../bench/data/zipf.ts'

let out: string
beforeEach(async () => {
  out = await mkdtemp(join(tmpdir(), 'gearmill-tweets-'))
})
afterEach(() => rm(out, { recursive: true }))

const make = (options: Partial<TweetOptions> = {}) =>
  makeTweets({ out, totalBytes: 6_000_000, files: 2, vocabulary: 5000, ...options })

const row =
  /^[04],\d{10},Mon Apr (0[1-9]|1\d|2[0-8]) ([01]\d|2[0-3]):[0-5]\d:[0-5]\d PDT 2009,NO_QUERY,user\d{1,6},"[a-z]{2,12}( [a-z]{2,12}){7,23}",x\d{1,3}$/

describe('makeTweets', () => {
  it('writes what the manifest says, row by row, with words of the vocabulary', async () => {
    const manifest = await make()
    expect(JSON.parse(await readFile(join(out, 'manifest.json'), 'utf8'))).toEqual(manifest)
    const vocabulary = (await readFile(join(out, 'vocab.txt'), 'utf8')).trimEnd().split('\n')
    const known = new Set(vocabulary)
    expect(known.size).toBe(5000)

    let [rows, words] = [0, 0]
    for (const { file, ...said } of manifest.files) {
      const bytes = await readFile(join(out, file))
      expect(createHash('sha256').update(bytes).digest('hex')).toBe(said.sha256)
      expect(bytes.length).toBe(said.bytes)
      expect(bytes.length - 3_000_000).toBeLessThan(512)
      const [header, ...lines] = bytes.toString().trimEnd().split('\n')
      expect(header).toBe('target,id,date,flag,user,text,extra')
      expect(lines.filter((line) => !row.test(line))).toEqual([])
      const texts = lines.flatMap((line) => (line.split('"')[1] ?? '').split(' '))
      expect(texts.filter((word) => !known.has(word))).toEqual([])
      expect([lines.length, texts.length]).toEqual([said.rows, said.words])
      rows += said.rows
      words += said.words
    }
    expect([manifest.rows, manifest.words]).toEqual([rows, words])
  })

  it('gives the same bytes for the same arguments, and others for another seed', async () => {
    const [first, again, other] = [await make(), await make(), await make({ seed: 7 })]
    expect(again).toEqual(first)
    expect(other.files[0]?.sha256).not.toBe(first.files[0]?.sha256)
    expect(first.files[0]?.sha256).not.toBe(first.files[1]?.sha256)
  })
})

describe('ZipfSampler', () => {
  it('draws ranks as often as the law says', () => {
    const [size, s, draws] = [1000, 1.07, 1_000_000]
    const sampler = new ZipfSampler(size, s)
    const random = new Random(42, 1)
    const counts = new Uint32Array(size)
    for (let i = 0; i < draws; i++) {
      const rank = sampler.sample(random)
      counts[rank] = (counts[rank] ?? 0) + 1
    }
    const weights = Array.from(counts, (_, rank) => (rank + 1) ** -s)
    const sum = weights.reduce((total, weight) => total + weight, 0)
    // Chi squared has about as many as its degrees of freedom, with a deviation of the root of twice that.
    const chi = counts.reduce((total, count, rank) => {
      const wanted = ((weights[rank] ?? 0) / sum) * draws
      return total + (count - wanted) ** 2 / wanted
    }, 0)
    expect(Math.abs(chi - size) / Math.sqrt(2 * size)).toBeLessThan(4)
  })
})
