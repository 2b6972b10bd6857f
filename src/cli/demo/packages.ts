// The second half of the demo: each package's metadata as a hash `package:<name>`, then keywords and licences counted over
// these keys.
import type { Mill } from '../../mill.ts'
import type { Keyed } from '../../pipeline/pipeline.ts'

export interface PackageReport {
  readonly packages: number
  readonly keywords: readonly Keyed<string, number>[]
  readonly licences: readonly Keyed<string, number>[]
  readonly seconds: number
}

export async function countPackages(mill: Mill, root: string, signal: AbortSignal): Promise<PackageReport> {
  const started = performance.now()
  await mill
    .files([`${root}/*/package.json`, `${root}/@*/*/package.json`], { format: 'bytes' })
    .map(({ bytes }) => {
      const { name, version, license, keywords } = JSON.parse(new TextDecoder().decode(bytes)) as Record<
        string,
        unknown
      >
      return {
        name: String(name),
        version: String(version),
        license: typeof license === 'string' ? license : 'unknown',
        keywords: Array.isArray(keywords) ? keywords.join(',') : '',
      }
    })
    .write(({ name, ...fields }) => ['HSET', `package:${name}`, ...Object.entries(fields).flat()])
    .run({ signal })

  const packages = mill.keys('package:*', { values: false })
  const [keywords, licences, [count = 0]] = await Promise.all([
    packages
      .map((key) => mill.redis.hGet(key, 'keywords'))
      .filter((list) => list !== null && list !== '')
      .flatMap((list) => String(list).split(','))
      .countBy()
      .topK(10, ({ value }) => value)
      .run({ signal }),
    packages
      .map((key) => mill.redis.hGet(key, 'license'))
      .map((license) => license ?? 'unknown')
      .countBy()
      .topK(5, ({ value }) => value)
      .run({ signal }),
    packages.count().run({ signal }),
  ])
  return { packages: count, keywords, licences, seconds: (performance.now() - started) / 1000 }
}
