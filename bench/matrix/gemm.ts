// What multiplies blocks, without the engine around it: GFLOP per CPU second of one thread. Usage, from the root:
//   npx tsx bench/matrix/gemm.ts [SIZE ...]
import { chooseBlas } from '../../dist/native/blas/blas.js'
import { findOpenBlas } from '../../dist/native/blas/openblas.js'

const sizes = process.argv.slice(2).map(Number)
const rounds = 5

for (const kind of findOpenBlas() === undefined ? ['wasm'] : ['openblas', 'wasm']) {
  const blas = chooseBlas(kind)
  console.log(blas.description)
  for (const make of [Float64Array, Float32Array]) {
    for (const n of sizes.length > 0 ? sizes : [512, 1024]) {
      const [a, b, data] = [new make(n * n).fill(1.5), new make(n * n).fill(0.5), new make(n * n)]
      const of = (values: typeof a) => ({ data: values, offset: 0, row: n, column: 1 })
      const product = { m: n, n, k: n, alpha: 1, a: of(a), b: of(b), c: { data, offset: 0, row: n } }
      await blas.gemm(product)
      const repeats = Math.ceil(1e9 / n ** 3)
      const rates: number[] = []
      for (let round = 0; round < rounds; round++) {
        const before = process.cpuUsage()
        for (let k = 0; k < repeats; k++) await blas.gemm(product)
        const { user, system } = process.cpuUsage(before)
        rates.push((2 * n ** 3 * repeats) / 1e3 / (user + system))
      }
      const median = rates.sort((x, y) => x - y)[Math.floor(rounds / 2)] ?? 0
      console.log(`  ${make === Float64Array ? 'f64' : 'f32'} ${n}: ${median.toFixed(1)} GFLOP per CPU second`)
    }
  }
}
