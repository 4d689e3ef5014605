/** simple-peer as one file that needs nothing of Node, so that a browser's bundle holds no stand-ins for Node's own modules. */
declare module 'simple-peer/simplepeer.min.js' {
  import Peer from 'simple-peer'

  export default Peer
}
