// What keys() leaves out: everything of Gearmill's own, wherever it lies.
import { expect, test } from 'vitest'
import { connect } from '../../../src/mill.ts'
import { raw, standalone } from '../../fixtures/servers.ts'

test('control state, blocks, markers and temporary keys of Gearmill are not among the keys', async () => {
  const server = await standalone()
  const own = ['gm:{gm0}:x:1', 'gm:{b1a}:b:1:0.0.1.0:0', 'gm:{4x}:m:1.0.0', 'gm:{4x}:tmp:1.ab']
  for (const key of [...own, 'gm:mine', 'mine']) await raw(server, 'SET', key, '1')
  await using mill = await connect(server.url, { executors: 1 })
  expect(await mill.keys('*', { values: false }).sort().run()).toEqual(['gm:mine', 'mine'])
})
