import { afterEach, expect, it } from 'vitest'
import { Lookup } from '../../../src/kernels/host/lookup.ts'
import { chainLane } from '../../../src/kernels/keys.ts'
import { connectDeployment } from '../../../src/redis/connect.ts'
import { flush, standalone } from '../../fixtures/servers.ts'

afterEach(() => flush())

it('asks the server with every commit for few imports only, and for small ones', async () => {
  const deployment = await connectDeployment((await standalone()).url)
  try {
    const lookup = new Lookup(deployment, 'gm')
    const set = (name: string, source: string) => deployment.command(name, ['SET', name, source])
    for (let i = 0; i < 40; i++) await set(`lib${i}`, `export const a = ${i}`)
    await set('large', `export const a = '${'x'.repeat(100_000)}'`)
    for (let i = 0; i < 40; i++) expect(await lookup.resolve(`lib${i}`)).toMatchObject({ name: `lib${i}` })
    expect(await lookup.resolve('large')).toMatchObject({ name: 'large' })
    expect(await lookup.resolve('nowhere')).toBeUndefined()
    expect([...lookup.imported]).toEqual(Array.from({ length: 32 }, (_, i) => `lib${i + 8}`))
    await lookup.resolve('lib8')
    await lookup.resolve('lib0')
    expect([...lookup.imported].slice(-2)).toEqual(['lib8', 'lib0'])
    // Kept or not, what is stored is what counts once it was looked up.
    for (const name of ['lib0', 'lib9', 'large']) await set(name, 'export const a = "new"')
    await lookup.tags(chainLane('gm', 'gm0'), [])
    for (const name of ['lib0', 'lib9', 'large']) {
      expect(await lookup.resolve(name)).toMatchObject({ source: 'export const a = "new"' })
    }
  } finally {
    await deployment.close()
  }
})
