// matrix_cell, matrix_save and matrix_forget: cells are set where blocks are whole, and names change hands in one step.
import { expect, it } from 'vitest'
import { useLane } from './lane.ts'

const lane = useLane()
const index = 'm:{gm0}:matrices'
const moving = `${index}:moving`
const described = (id: string): string => JSON.stringify({ id, rows: 1 })
const save = (name: string, id: string) => lane.call('matrix_save', [index, moving], name, id, described(id))
const forget = (name: string, id = '') => lane.call('matrix_forget', [index, moving], name, id)

it('matrix_cell: writes into a block of the right length only, and makes none', async () => {
  const cell = (length: number) => lane.call('matrix_cell', ['m:block'], length, 4, Buffer.from('ab'))
  expect(await cell(8)).toBe(0)
  expect(await lane.command('EXISTS', 'm:block')).toBe(0)
  await lane.command('SET', 'm:block', '01234567')
  expect(await cell(9)).toBe(8)
  expect(await lane.command('GET', 'm:block')).toBe('01234567')
  expect(await cell(8)).toBe(8)
  expect(await lane.command('GET', 'm:block')).toBe('0123ab67')
})

it('matrix_save: gives the name, and hands over the matrix that had it', async () => {
  await lane.command('HSET', moving, 'one', described('one'))
  expect(await save('w', 'one')).toBe('')
  expect(await lane.hash(moving)).toEqual(new Map())
  expect(await save('w', 'one')).toBe('')
  expect(await save('w', 'two')).toBe(described('one'))
  expect(await lane.hash(index)).toEqual(new Map([['w', described('two')]]))
  expect(await lane.hash(moving)).toEqual(new Map([['one', described('one')]]))
})

it('matrix_forget: takes the name from that matrix, or from any', async () => {
  await save('v', 'three')
  expect(await forget('v', 'four')).toBe('')
  expect(await forget('v', 'three')).toBe(described('three'))
  expect(await forget('v')).toBe('')
  expect((await lane.hash(moving)).get('three')).toBe(described('three'))
  await save('v', 'five')
  expect(await forget('v')).toBe(described('five'))
})
