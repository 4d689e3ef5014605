export { type Live, live } from '@weft-db/svelte'
