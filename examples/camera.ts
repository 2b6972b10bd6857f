// Pictures from a camera, as tensors: a model looks at each frame of a stream, and those that show what is wanted go on to
// another stream.
//
//   npx gearmill run examples/camera.ts
import { local } from 'gearmill'
import { onnxFile } from './onnx/onnx-writer.ts'

await using mill = await local()

const size = 8
const shapes = ['nothing', 'bar', 'post'] as const

/** A frame of 8 x 8 grey values: noise, with a lying or a standing line in it. */
function frame(shape: (typeof shapes)[number], at: number): Uint8Array {
  return Uint8Array.from({ length: size * size }, (_, k) => {
    const [row, col] = [Math.floor(k / size), k % size]
    const isLine = (shape === 'bar' && row === at) || (shape === 'post' && col === at)
    return (isLine ? 200 : 20) + ((k * 7919) % 11)
  })
}

// Two filters of 3 x 3: one answers to lying lines, one to standing ones. A trained network is stored in the same way.
const filters = Float32Array.of(-1, -1, -1, 2, 2, 2, -1, -1, -1, -1, 2, -1, -1, 2, -1, -1, 2, -1)
const model = onnxFile({
  inputs: [{ name: 'frame', type: 'uint8', shape: ['N', 1, size, size] }],
  outputs: [{ name: 'lines', type: 'float32', shape: ['N', 2] }],
  weights: [
    { name: 'filters', shape: [2, 1, 3, 3], data: filters },
    { name: 'scale', shape: [1], data: Float32Array.of(1 / 255) },
  ],
  nodes: [
    { op: 'Cast', inputs: ['frame'], outputs: ['numbers'], attributes: { to: 1 } },
    { op: 'Mul', inputs: ['numbers', 'scale'], outputs: ['grey'] },
    { op: 'Conv', inputs: ['grey', 'filters'], outputs: ['answers'], attributes: { kernel_shape: [3, 3] } },
    { op: 'GlobalMaxPool', inputs: ['answers'], outputs: ['strongest'] },
    { op: 'Flatten', inputs: ['strongest'], outputs: ['lines'] },
  ],
})
await mill.models.set('lines', model)

for (let n = 0; n < 300; n++) {
  const shape = shapes[n % 3] ?? 'nothing'
  await mill.redis.xAdd('camera', '*', { n: String(n), pixels: Buffer.from(frame(shape, 1 + (n % 6))) })
}

const { written } = await mill
  .stream('camera', { binary: true })
  .predict('lines', { input: ({ value }) => Uint8Array.from(value.pixels ?? []), batch: 64 })
  .map(({ record, output }) => {
    const [bar = 0, post = 0] = Array.from(output.lines?.data ?? [], Number)
    return { n: Buffer.from(record.value.n ?? []).toString(), is: bar > 2 ? 'bar' : post > 2 ? 'post' : 'nothing' }
  })
  .filter(({ is }) => is === 'post')
  .toStream('posts')
  .run()
console.log(`${written} of 300 frames show a post`) // -> 100 of 300 frames show a post
const [first] = (await mill.redis.xRange('posts', '-', '+', { COUNT: 1 })) ?? []
console.log(`the first is frame ${first?.message.n}`) // -> the first is frame 2
