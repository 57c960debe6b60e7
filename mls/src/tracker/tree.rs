//! A ratchet tree as OpenMLS keeps it.

use openmls::treesync::Node;

use crate::error::LibraryFault;

/// The nodes of a tree in the form in which OpenMLS keeps a tree and loads it: the leaves, the parents, what stands for
/// a leaf and for a parent that are not there, and the tree hash. They come from nodes in the order of the array.
pub(crate) fn stored_tree(nodes: Vec<Option<Node>>, tree_hash: &[u8]) -> Result<Vec<u8>, LibraryFault> {
    let (mut leaves, mut parents) = (Vec::new(), Vec::new());
    for (place, node) in nodes.into_iter().enumerate() {
        match (place % 2, node) {
            (0, None) => leaves.push(None),
            (0, Some(Node::LeafNode(leaf))) => leaves.push(Some(leaf)),
            (1, None) => parents.push(None),
            (1, Some(Node::ParentNode(parent))) => parents.push(Some(parent)),
            _ => return Err(LibraryFault::MissingState),
        }
    }
    postcard::to_allocvec(&(leaves, parents, None::<()>, None::<()>, tree_hash))
        .map_err(LibraryFault::encoding)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::groups;

    #[test]
    fn a_tree_is_stored_as_openmls_stores_it() {
        groups(|member| {
            let public = member.group().public_group();
            let nodes: Vec<Option<Node>> =
                postcard::from_bytes(&postcard::to_allocvec(&public.export_ratchet_tree()).unwrap()).unwrap();
            let stored = stored_tree(nodes, public.group_context().tree_hash()).unwrap();
            let loaded: openmls::treesync::TreeSync = postcard::from_bytes(&stored).unwrap();
            assert_eq!(loaded.export_ratchet_tree(), public.export_ratchet_tree());
        });
    }
}
