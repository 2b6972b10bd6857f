// Which installed packages does everything else stand on? PageRank of the dependency graph of a node_modules folder.
//
//   npx gearmill run examples/dependency-rank.ts [FOLDER]
import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { local } from 'gearmill'

const folder = process.argv[2] ?? 'node_modules'

/** Names of packages, those in scopes too. */
async function packagesOf(path: string): Promise<string[]> {
  const found: string[] = []
  for (const name of await readdir(path)) {
    if (name.startsWith('.')) continue
    if (name.startsWith('@')) found.push(...(await readdir(join(path, name))).map((inner) => `${name}/${inner}`))
    else found.push(name)
  }
  return found
}

interface Manifest {
  readonly dependencies?: Readonly<Record<string, string>>
}

await using mill = await local()

const names = (await packagesOf(folder)).sort()
const places = new Map(names.map((name, place) => [name, place]))
const links = names.map(() => new Array<number>(names.length).fill(0))
for (const [place, name] of names.entries()) {
  const text = await readFile(join(folder, name, 'package.json'), 'utf8').catch(() => '{}')
  for (const dependency of Object.keys((JSON.parse(text) as Manifest).dependencies ?? {})) {
    const to = places.get(dependency)
    if (to !== undefined) (links[place] as number[])[to] = 1
  }
}

const ranks = await mill.matrix.pagerank(await mill.matrix.from(links), { damping: 0.85, tolerance: 1e-10 })
const ranked = Array.from(await ranks.data(), (rank, place) => ({ rank, name: names[place] as string }))
ranked.sort((a, b) => b.rank - a.rank || (a.name < b.name ? -1 : 1))
for (const { rank, name } of ranked.slice(0, 10)) console.log(`${(rank * 100).toFixed(2).padStart(6)} %  ${name}`)
