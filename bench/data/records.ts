// Makes records with keys: facts.csv (id, key, value) and names.csv (key, name), for group, sort and join. Keys are drawn
// evenly; the same arguments give the same bytes. Usage: tsx data/records.ts OUT_DIR RECORDS KEYS
import { mkdir, open } from 'node:fs/promises'
import { join } from 'node:path'
import { argv, exit, stderr } from 'node:process'
import { pathToFileURL } from 'node:url'
import { Random } from './zipf.ts'

const linesTogether = 100_000
const seed = 20_240_607

async function write(path: string, header: string, lines: number, line: (i: number) => string): Promise<void> {
  const file = await open(path, 'w')
  try {
    let text = `${header}\n`
    for (let i = 0; i < lines; i++) {
      text += line(i)
      if (i % linesTogether !== linesTogether - 1) continue
      await file.writeFile(text)
      text = ''
    }
    await file.writeFile(text)
  } finally {
    await file.close()
  }
}

export async function makeRecords(out: string, records: number, keys: number): Promise<void> {
  await mkdir(out, { recursive: true })
  const random = new Random(seed, 0)
  await write(
    join(out, 'facts.csv'),
    'id,key,value',
    records,
    (i) => `${i},${random.below(keys)},${random.below(1000)}\n`,
  )
  // In an order that is not that of the keys.
  await write(join(out, 'names.csv'), 'key,name', keys, (i) => {
    const key = (i * 7919) % keys
    return `${key},name ${key}\n`
  })
}

if (import.meta.url === pathToFileURL(argv[1] ?? '').href) {
  const [out, records, keys] = argv.slice(2)
  if (out === undefined || records === undefined || keys === undefined) {
    stderr.write('usage: tsx data/records.ts OUT_DIR RECORDS KEYS\n')
    exit(2)
  }
  await makeRecords(out, Number(records), Number(keys))
}
