//! The tree of a condition, with the place of each part.
//!
//! Nodes lie in one vector and refer to each other by index, so that a tree of any depth is built,
//! walked and dropped without recursion.

use std::{
    fmt,
    hash::{DefaultHasher, Hasher as _},
};

use crate::lexer;
use crate::quoted::Quoted;
use crate::span::Span;

/// A parsed condition.
///
/// `Display` writes a canonical text: one blank between tokens, parentheses wherever `and`, `or`
/// and `not` meet. Parsing that text gives a tree that prints the same and means the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ast {
    nodes: Vec<Node>,
    root: NodeId,
}

/// The place of a node in its tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NodeId(u32);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) kind: NodeKind,
    pub(crate) span: Span,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NodeKind {
    Join(Joint, NodeId, NodeId),
    Not(NodeId),
    Test(Box<Test>),
}

/// What joins two parts of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Joint {
    And,
    Or,
}

/// A name and what is asked of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Test {
    pub(crate) name: Spanned<String>,
    /// Whether the operator is one of `not contains`, `not in`, ….
    pub(crate) negated: bool,
    pub(crate) check: Check,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// The name alone.
    Holds,
    Exists,
    Compare(Comparison, Literal),
    Contains(Case, Literal),
    /// `iequals`
    EqualFold(Literal),
    In(Vec<Literal>),
    /// `in @name`
    InList(Spanned<String>),
    Like(Case, Spanned<String>),
    Regex(Spanned<String>),
}

/// Whether upper and lower case differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Case {
    Exact,
    Ignored,
}

/// An operator that compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Greater,
    Less,
    GreaterOrEqual,
    LessOrEqual,
}

/// A value in a condition. Strings and numbers are kept as they are written, without the quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Literal {
    Text(Spanned<String>),
    Number(Spanned<String>),
    Boolean(Spanned<bool>),
    Duration(Spanned<String>),
}

/// A value and where it stands. For strings the span is that of the text between the quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spanned<T> {
    pub(crate) value: T,
    pub(crate) span: Span,
}

// === impl Ast ===

impl Ast {
    pub(crate) fn new(nodes: Vec<Node>, root: NodeId) -> Self {
        Self { nodes, root }
    }

    pub(crate) fn root(&self) -> NodeId {
        self.root
    }

    pub(crate) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// All nodes; each comes after those that it is made of.
    pub(crate) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The tests, in the order of the text.
    pub(crate) fn tests(&self) -> impl Iterator<Item = (&Test, Span)> {
        self.nodes.iter().filter_map(|node| match &node.kind {
            NodeKind::Test(test) => Some((&**test, node.span)),
            _ => None,
        })
    }

    /// The longest chains of one joint, each with its parts in the order of the text.
    pub(crate) fn chains(&self) -> Vec<(Joint, Vec<NodeId>)> {
        let mut inner = vec![false; self.nodes.len()];
        let mut chains = Vec::new();
        // Whoever joins nodes comes after them.
        for (at, node) in self.nodes.iter().enumerate().rev() {
            if let (NodeKind::Join(joint, ..), false) = (&node.kind, inner[at]) {
                let root = NodeId(u32::try_from(at).expect("ids are of this type"));
                chains.push((*joint, self.chain(root, *joint, |id| inner[id.index()] = true)));
            }
        }
        chains
    }

    /// The parts of the longest chain of a joint at a node; one that is no such join is its only
    /// part. Tells of each join on the way.
    pub(crate) fn chain(
        &self,
        root: NodeId,
        joint: Joint,
        mut join: impl FnMut(NodeId),
    ) -> Vec<NodeId> {
        let (mut parts, mut todo) = (Vec::new(), vec![root]);
        while let Some(id) = todo.pop() {
            match self.node(id).kind {
                NodeKind::Join(inner, left, right) if inner == joint => {
                    join(id);
                    todo.extend([right, left]);
                }
                _ => parts.push(id),
            }
        }
        parts
    }

    /// A hash of the canonical text of a part of the tree.
    pub(crate) fn hash(&self, root: NodeId) -> u64 {
        let mut text = Hashed(DefaultHasher::new());
        self.write(&mut text, root).expect("a hash takes any text");
        text.0.finish()
    }

    /// Writes the canonical text of a part of the tree.
    pub(crate) fn write(&self, out: &mut impl fmt::Write, root: NodeId) -> fmt::Result {
        let mut todo = vec![Piece::Node(root)];
        while let Some(piece) = todo.pop() {
            match piece {
                Piece::Text(text) => out.write_str(text)?,
                Piece::Operand(id) if self.needs_parentheses(id) => {
                    todo.extend([Piece::Text(")"), Piece::Node(id), Piece::Text("(")]);
                }
                Piece::Operand(id) | Piece::Node(id) => self.write_node(out, id, &mut todo)?,
            }
        }
        Ok(())
    }

    fn write_node(
        &self,
        out: &mut impl fmt::Write,
        id: NodeId,
        todo: &mut Vec<Piece>,
    ) -> fmt::Result {
        match &self.node(id).kind {
            NodeKind::Test(test) => write!(out, "{test}"),
            NodeKind::Not(inner) => {
                out.write_str("not ")?;
                self.write_negated(*inner, todo);
                Ok(())
            }
            NodeKind::Join(joint, left, right) => {
                let left = match &self.node(*left).kind {
                    NodeKind::Join(inner, ..) if inner == joint => Piece::Node(*left),
                    _ => Piece::Operand(*left),
                };
                todo.extend([Piece::Operand(*right), Piece::Text(joint.padded()), left]);
                Ok(())
            }
        }
    }

    /// A `not` takes the rest of its chain: what is not a test or another `not` is set apart.
    fn write_negated(&self, id: NodeId, todo: &mut Vec<Piece>) {
        match &self.node(id).kind {
            NodeKind::Not(_) => todo.push(Piece::Node(id)),
            NodeKind::Test(test) if !starts_like_operator(test) => todo.push(Piece::Node(id)),
            _ => todo.extend([Piece::Text(")"), Piece::Node(id), Piece::Text("(")]),
        }
    }

    fn needs_parentheses(&self, id: NodeId) -> bool {
        !matches!(self.node(id).kind, NodeKind::Test(_))
    }
}

/// Whether the Go engine would read `not` and this name's beginning as one operator.
fn starts_like_operator(test: &Test) -> bool {
    lexer::Word::ALL.iter().any(|word| test.name.value.starts_with(word.as_str()))
}

/// A text of which only the hash is kept.
struct Hashed(DefaultHasher);

impl fmt::Write for Hashed {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

/// What is still to be written.
enum Piece {
    Text(&'static str),
    Node(NodeId),
    /// A node that gets parentheses unless it is a test.
    Operand(NodeId),
}

impl fmt::Display for Ast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, self.root)
    }
}

// === impl NodeId ===

impl NodeId {
    /// The id of the next node that is pushed.
    pub(crate) fn next(nodes: &[Node]) -> Self {
        Self(u32::try_from(nodes.len()).expect("the text of a condition is shorter than 4 GiB"))
    }

    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

// === impl Joint ===

impl Joint {
    fn padded(self) -> &'static str {
        match self {
            Self::And => " and ",
            Self::Or => " or ",
        }
    }
}

// === impl Test ===

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name.value)?;
        let not = if self.negated { " not" } else { "" };
        match &self.check {
            Check::Holds => Ok(()),
            Check::Exists => write!(f, "{not} exists"),
            Check::Compare(comparison, value) => write!(f, " {} {value}", comparison.as_str()),
            Check::Contains(case, value) => write!(f, "{not} {}contains {value}", case.prefix()),
            Check::EqualFold(value) => write!(f, "{not} iequals {value}"),
            Check::In(values) => write_list(f, not, values),
            Check::InList(list) => write!(f, "{not} in @{}", list.value),
            Check::Like(case, text) => {
                write!(f, "{not} {}like {}", case.prefix(), Quoted(&text.value))
            }
            Check::Regex(text) => write!(f, "{not} regex {}", Quoted(&text.value)),
        }
    }
}

fn write_list(f: &mut fmt::Formatter<'_>, not: &str, values: &[Literal]) -> fmt::Result {
    write!(f, "{not} in (")?;
    for (i, value) in values.iter().enumerate() {
        let comma = if i > 0 { ", " } else { "" };
        write!(f, "{comma}{value}")?;
    }
    f.write_str(")")
}

// === impl Case ===

impl Case {
    /// What the operators that ignore case begin with.
    fn prefix(self) -> &'static str {
        match self {
            Self::Exact => "",
            Self::Ignored => "i",
        }
    }
}

// === impl Comparison ===

impl Comparison {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Greater => ">",
            Self::Less => "<",
            Self::GreaterOrEqual => ">=",
            Self::LessOrEqual => "<=",
        }
    }

    /// What holds of two numbers where this does not.
    pub(crate) fn opposite(self) -> Self {
        match self {
            Self::Equal => Self::NotEqual,
            Self::NotEqual => Self::Equal,
            Self::Greater => Self::LessOrEqual,
            Self::Less => Self::GreaterOrEqual,
            Self::GreaterOrEqual => Self::Less,
            Self::LessOrEqual => Self::Greater,
        }
    }

    /// Whether `left` compares to `right` in this way. Values without an order are only unequal.
    pub(crate) fn holds<T: PartialOrd + ?Sized>(self, left: &T, right: &T) -> bool {
        match self {
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::Greater => left > right,
            Self::Less => left < right,
            Self::GreaterOrEqual => left >= right,
            Self::LessOrEqual => left <= right,
        }
    }
}

// === impl Literal ===

impl Literal {
    /// The text that it stands for where text is compared.
    pub(crate) fn as_text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Number(text) | Self::Duration(text) => &text.value,
            Self::Boolean(boolean) => {
                if boolean.value {
                    "true"
                } else {
                    "false"
                }
            }
        }
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => Quoted(&text.value).fmt(f),
            _ => f.write_str(self.as_text()),
        }
    }
}
