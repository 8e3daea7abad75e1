//! The order in which tables are searched.
//!
//! Comes in: which table needs keys of which. Goes out: stages, each a table or a circle of tables, in an order in which keys are complete before
//! they are needed. Must not know: what a table is.

/// Strongly connected components in topological order (Tarjan's algorithm, without recursion).
///
/// `next[n]` are the nodes that need what `n` gives.
pub(super) fn stages(next: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut search = Search {
        next,
        index: vec![usize::MAX; next.len()],
        low: vec![0; next.len()],
        on_stack: vec![false; next.len()],
        stack: Vec::new(),
        count: 0,
        found: Vec::new(),
    };
    for node in 0..next.len() {
        if search.index[node] == usize::MAX {
            search.from(node);
        }
    }
    // Components come out when all that follows them is out.
    search.found.reverse();
    search.found
}

struct Search<'n> {
    next: &'n [Vec<usize>],
    index: Vec<usize>,
    low: Vec<usize>,
    on_stack: Vec<bool>,
    stack: Vec<usize>,
    count: usize,
    found: Vec<Vec<usize>>,
}

impl Search<'_> {
    fn from(&mut self, start: usize) {
        let mut path = vec![(start, 0)];
        self.enter(start);
        while let Some((node, edge)) = path.last_mut() {
            let node = *node;
            if let Some(&to) = self.next[node].get(*edge) {
                *edge += 1;
                if self.index[to] == usize::MAX {
                    self.enter(to);
                    path.push((to, 0));
                } else if self.on_stack[to] {
                    self.low[node] = self.low[node].min(self.index[to]);
                }
                continue;
            }
            path.pop();
            if let Some((parent, _)) = path.last() {
                self.low[*parent] = self.low[*parent].min(self.low[node]);
            }
            if self.low[node] == self.index[node] {
                let at = self.stack.iter().rposition(|other| *other == node).unwrap_or(0);
                let component = self.stack.split_off(at);
                for member in &component {
                    self.on_stack[*member] = false;
                }
                self.found.push(component);
            }
        }
    }

    fn enter(&mut self, node: usize) {
        self.index[node] = self.count;
        self.low[node] = self.count;
        self.count += 1;
        self.stack.push(node);
        self.on_stack[node] = true;
    }
}

#[cfg(test)]
mod tests {
    use super::stages;

    #[test]
    fn what_gives_comes_before_what_needs() {
        // 0 -> 1 -> {2 <-> 3} -> 4, 0 -> 4, 5 alone, 6 needs itself.
        let next = [vec![1, 4], vec![2], vec![3], vec![2, 4], vec![], vec![], vec![6]];
        let found = stages(&next);
        let stage = |node: usize| found.iter().position(|stage| stage.contains(&node)).unwrap();
        assert!(stage(0) < stage(1) && stage(1) < stage(2) && stage(2) == stage(3) && stage(3) < stage(4));
        assert_eq!(found.iter().map(Vec::len).sum::<usize>(), 7);
        assert_eq!(found.len(), 6);
    }

    #[test]
    fn a_long_chain_needs_no_stack() {
        let next: Vec<Vec<usize>> = (0..200_000).map(|node| if node > 0 { vec![node - 1] } else { vec![] }).collect();
        assert_eq!(stages(&next)[0], [199_999]);
    }
}
