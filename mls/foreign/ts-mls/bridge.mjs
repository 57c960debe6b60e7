// Devices whose MLS is ts-mls, for a program that speaks to them over stdin and stdout.
//
// Each line that is read is a request, a JSON object with an `op`; each gets one line as its answer, a JSON object too,
// in order. Bytes are in base64. An answer with `error` says why nothing was done. A state of a group is never changed:
// requests name one by its number and may make others.
//
//   node bridge.mjs FOLDER        FOLDER has node_modules with ts-mls

import { createInterface } from "node:readline"
import { resolve } from "node:path"
import { pathToFileURL } from "node:url"

const folder = resolve(process.argv[2] ?? ".")
const load = (file) => import(pathToFileURL(resolve(folder, "node_modules/ts-mls/dist/src", file)).href)
const mls = await load("index.js")
const { unprotectPrivateMessage } = await load("messageProtection.js")
const { createGroupInfoWithRatchetTree } = await load("createCommit.js")
const { makeKeyPackageRef } = await load("keyPackage.js")
const { decryptGroupInfo, decryptGroupSecrets } = await load("welcome.js")
const { decryptSenderData } = await load("privateMessage.js")

const LAST_RESORT = 10
const bytes = (text) => new Uint8Array(Buffer.from(text, "base64"))
const text = (data) => Buffer.from(data).toString("base64")

const devices = []
const states = []

/** The vectors of an LM credential, or undefined if it is none (LM-04 section 4.1). */
function vectors(data) {
  const found = []
  let at = 0
  while (at < data.length) {
    const width = 1 << (data[at] >> 6)
    if (width > 4 || at + width > data.length) return undefined
    let length = data[at] & 0x3f
    for (let i = 1; i < width; i++) length = length * 256 + data[at + i]
    at += width
    if (at + length > data.length) return undefined
    found.push(data.subarray(at, at + length))
    at += length
  }
  return found.length === 3 ? found : undefined
}

const authService = {
  async validateCredential(credential, key) {
    if (credential.credentialType !== "basic") return false
    const fields = vectors(credential.identity)
    return fields !== undefined && Buffer.compare(fields[2], key) === 0
  },
}

const clientConfig = {
  authService,
  keyPackageEqualityConfig: mls.defaultKeyPackageEqualityConfig,
  paddingConfig: mls.defaultPaddingConfig,
  // What messages of earlier epochs need is kept as long as the other devices keep it.
  keyRetentionConfig: { retainKeysForGenerations: 64, retainKeysForEpochs: 2, maximumForwardRatchetSteps: 1000 },
  // ts-mls takes no key package for more than a month unless it is told to.
  lifetimeConfig: { maximumTotalLifetime: 400n * 86400n, validateLifetimeOnReceive: false },
}

function suite(code) {
  const name = Object.keys(mls.ciphersuites).find((name) => mls.ciphersuites[name] === code)
  if (name === undefined) throw new Error(`ts-mls has no suite ${code}`)
  return mls.getCiphersuiteImpl(mls.getCiphersuiteFromName(name))
}

function decode(data, wireformat, field) {
  const decoded = mls.decodeMlsMessage(bytes(data), 0)
  if (decoded === undefined || decoded[1] !== bytes(data).length) throw new Error("not an MLSMessage")
  if (decoded[0].wireformat !== wireformat) throw new Error(`not a ${wireformat}`)
  return decoded[0][field]
}

const encode = (wireformat, field, value) =>
  text(mls.encodeMlsMessage({ version: "mls10", wireformat, [field]: value }))

const leaf = (node) => ({
  type: mls.credentialTypes[node.credential.credentialType] ?? 0,
  identity: text(node.credential.identity ?? new Uint8Array()),
  key: text(node.signaturePublicKey),
})

function keep(state) {
  const members = []
  state.ratchetTree.forEach((node, index) => {
    if (node?.nodeType === "leaf") members.push({ leaf: index / 2, ...leaf(node.leaf) })
  })
  return {
    state: states.push(state) - 1,
    groupId: text(state.groupContext.groupId),
    epoch: Number(state.groupContext.epoch),
    own: state.privatePath.leafIndex,
    members,
  }
}

/** The group state that a commit publishes. ts-mls writes `external_pub` without its length, so it is left out. */
async function groupInfo(state, cs) {
  const { groupContext, confirmationTag, ratchetTree } = state
  const info = await createGroupInfoWithRatchetTree(groupContext, confirmationTag, state, ratchetTree, [], cs)
  return encode("mls_group_info", "groupInfo", info)
}

const operations = {
  async device({ suite: code }) {
    const cs = await suite(code)
    const keys = await cs.signature.keygen()
    return { device: devices.push({ cs, keys, packages: new Map() }) - 1, key: text(keys.publicKey) }
  },

  async credential({ device, identity }) {
    devices[device].credential = { credentialType: "basic", identity: bytes(identity) }
    return {}
  },

  async sign({ device, message }) {
    const { cs, keys } = devices[device]
    return { signature: text(await cs.signature.sign(keys.signKey, bytes(message))) }
  },

  async keyPackage({ device, notBefore, notAfter, lastResort }) {
    const { cs, packages } = devices[device]
    const extensions = lastResort ? [{ extensionType: LAST_RESORT, extensionData: new Uint8Array() }] : []
    const made = await generate(devices[device], BigInt(notBefore), BigInt(notAfter), extensions)
    const reference = await makeKeyPackageRef(made.publicPackage, cs.hash)
    packages.set(text(reference), { ...made, lastResort })
    return { message: encode("mls_key_package", "keyPackage", made.publicPackage) }
  },

  async readKeyPackage({ message }) {
    const { cipherSuite, leafNode } = decode(message, "mls_key_package", "keyPackage")
    const { notBefore, notAfter } = leafNode.lifetime
    return {
      suite: mls.ciphersuites[cipherSuite],
      notBefore: String(notBefore),
      notAfter: String(notAfter),
      ...leaf(leafNode),
    }
  },

  async create({ device, groupId }) {
    const now = BigInt(Math.floor(Date.now() / 1000))
    const made = await generate(devices[device], now - 3600n, now + 84n * 86400n, [])
    const { cs } = devices[device]
    return keep(await mls.createGroup(bytes(groupId), made.publicPackage, made.privatePackage, [], cs, clientConfig))
  },

  async commit({ device, state, add, remove }) {
    const { cs } = devices[device]
    const extraProposals = [
      ...add.map((message) => ({
        proposalType: "add",
        add: { keyPackage: decode(message, "mls_key_package", "keyPackage") },
      })),
      ...remove.map((removed) => ({ proposalType: "remove", remove: { removed } })),
    ]
    const made = await mls.createCommit(
      { state: states[state], cipherSuite: cs },
      { wireAsPublicMessage: true, ratchetTreeExtension: true, extraProposals },
    )
    return {
      commit: text(mls.encodeMlsMessage(made.commit)),
      welcome: made.welcome === undefined ? null : encode("mls_welcome", "welcome", made.welcome),
      groupInfo: await groupInfo(made.newState, cs),
      next: keep(made.newState),
    }
  },

  async process({ device, state, message }) {
    const { cs } = devices[device]
    const commit = decode(message, "mls_public_message", "publicMessage")
    const content = commit.content.commit
    const added = []
    const removed = []
    for (const { proposalOrRefType, proposal } of content.proposals) {
      if (proposalOrRefType !== "proposal") return { byReference: true }
      if (proposal.proposalType === "add") added.push(leaf(proposal.add.keyPackage.leafNode))
      else if (proposal.proposalType === "remove") removed.push(proposal.remove.removed)
      else if (proposal.proposalType !== "external_init") {
        const type = proposal.proposalType
        return { unsupported: typeof type === "number" ? type : mls.defaultProposalTypes[type] }
      }
    }
    const processed = await mls.processPublicMessage(states[state], commit, mls.emptyPskIndex, cs)
    const gone = processed.newState.groupActiveState.kind === "removedFromGroup"
    return {
      next: gone ? null : keep(processed.newState),
      path: content.path === undefined ? null : leaf(content.path.leafNode),
      added,
      removed,
    }
  },

  async join({ device, welcome }) {
    const { cs, packages } = devices[device]
    const message = decode(welcome, "mls_welcome", "welcome")
    const reference = message.secrets.map(({ newMember }) => text(newMember)).find((it) => packages.has(it))
    if (reference === undefined) return { noKeyPackage: true }
    const { publicPackage, privatePackage, lastResort } = packages.get(reference)
    const state = await mls.joinGroup(
      message, publicPackage, privatePackage, mls.emptyPskIndex, cs, undefined, undefined, clientConfig,
    )
    // Who made the Welcome is in the GroupInfo, which the library does not show.
    const key = await cs.hpke.importPrivateKey(privatePackage.initPrivateKey)
    const secrets = await decryptGroupSecrets(key, bytes(reference), message, cs.hpke)
    const info = await decryptGroupInfo(message, secrets.joinerSecret, new Uint8Array(cs.kdf.size), cs)
    return { reference, lastResort, sender: info.signer, next: keep(state) }
  },

  async spend({ device, reference }) {
    devices[device].packages.delete(reference)
    return {}
  },

  async joinExternal({ device, groupInfo: message }) {
    const { cs } = devices[device]
    const now = BigInt(Math.floor(Date.now() / 1000))
    const made = await generate(devices[device], now - 3600n, now + 84n * 86400n, [])
    const info = decode(message, "mls_group_info", "groupInfo")
    const { publicMessage, newState } = await mls.joinGroupExternal(
      info, made.publicPackage, made.privatePackage, false, cs, undefined, clientConfig,
    )
    return {
      commit: encode("mls_public_message", "publicMessage", publicMessage),
      groupInfo: await groupInfo(newState, cs),
      next: keep(newState),
    }
  },

  /** What ts-mls itself publishes for external joins. */
  async ownGroupInfo({ device, state }) {
    const { cs } = devices[device]
    const info = await mls.createGroupInfoWithExternalPubAndRatchetTree(states[state], [], cs)
    return { groupInfo: encode("mls_group_info", "groupInfo", info) }
  },

  async encrypt({ device, state, plaintext }) {
    const { cs } = devices[device]
    const made = await mls.createApplicationMessage(states[state], bytes(plaintext), cs)
    return {
      message: encode("mls_private_message", "privateMessage", made.privateMessage),
      next: keep(made.newState),
    }
  },

  // ts-mls does not say who sent what it decrypts, but the function it does that with does.
  async decrypt({ device, state: number, ciphertext }) {
    const { cs } = devices[device]
    const state = states[number]
    const message = decode(ciphertext, "mls_private_message", "privateMessage")
    const present = message.epoch === state.groupContext.epoch
    const past = state.historicalReceiverData.get(message.epoch)
    if (!present && past === undefined) throw new Error("the keys of the epoch are gone")
    const { senderDataSecret } = present ? state.keySchedule : past
    const { secretTree, ratchetTree, groupContext } = present ? state : past
    const sender = await decryptSenderData(message, senderDataSecret, cs)
    if (sender?.leafIndex === state.privatePath.leafIndex) return { own: true }
    const opened = await unprotectPrivateMessage(
      senderDataSecret, message, secretTree, ratchetTree, groupContext, clientConfig.keyRetentionConfig, cs,
    )
    const { content } = opened.content
    if (content.contentType !== "application") throw new Error("not application data")
    const index = content.sender.leafIndex
    const next = present
      ? { ...state, secretTree: opened.tree }
      : {
          ...state,
          historicalReceiverData: new Map(state.historicalReceiverData).set(message.epoch, {
            ...past,
            secretTree: opened.tree,
          }),
        }
    return {
      sender: leaf(ratchetTree[index * 2].leaf),
      plaintext: text(content.applicationData),
      next: keep(next),
    }
  },

  async forget({ state }) {
    states[state] = undefined
    return {}
  },
}

function generate({ cs, keys, credential }, notBefore, notAfter, extensions) {
  const capabilities = {
    versions: ["mls10"],
    ciphersuites: [cs.name],
    extensions: [LAST_RESORT],
    proposals: [],
    credentials: ["basic"],
  }
  return mls.generateKeyPackageWithKey(credential, capabilities, { notBefore, notAfter }, extensions, keys, cs)
}

for await (const line of createInterface({ input: process.stdin })) {
  let answer
  try {
    const request = JSON.parse(line)
    answer = await operations[request.op](request)
  } catch (error) {
    answer = { error: String(error?.message ?? error), kind: error?.constructor?.name ?? "Error" }
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`)
}
