//! Tokens to a tree.
//!
//! `and` and `or` have one precedence and associate to the left; `not` takes the rest of its chain.
//! What is open is kept on a stack of our own, so depth costs no call stack.
//!
//! `AND`, `OR`, `NOT`, `age(…)` and the operators that ignore case are names to the lexer. They are
//! more than that only where the first version of the language had an error.

use crate::ast::{
    Ast, Case, Check, Comparison, Joint, Literal, Node, NodeId, NodeKind, Spanned, Test,
};
use crate::error::{Error, ErrorKind, Expected};
use crate::lexer::{Lexer, Token, TokenKind, Word};
use crate::limits::Limits;
use crate::lint::{Lint, LintKind};
use crate::mistake;
use crate::quoted;
use crate::span::Span;

/// Parses a text, and collects what in its form may mislead a reader.
pub(crate) fn parse(source: &str, limits: &Limits) -> Result<(Ast, Vec<Lint>), Error> {
    if source.len() > limits.length {
        let kind = ErrorKind::TooLong { length: source.len(), limit: limits.length };
        return Err(Error::new(kind, Span::new(0, source.len())));
    }
    Parser::new(source, limits)?.condition()
}

struct Parser<'a> {
    source: &'a str,
    lexer: Lexer<'a>,
    token: Token,
    nodes: Vec<Node>,
    open: Vec<Chain>,
    depth: usize,
    chains: Vec<ChainNote>,
}

/// A chain that is being read.
struct Chain {
    opened: Opened,
    left: Option<NodeId>,
    joint: Option<Joint>,
    last: Option<Joint>,
    joints: [bool; 2],
    /// Where an `and` follows an `or` or the other way round: the end of what is before it.
    turns: Vec<usize>,
}

/// What a chain began with.
#[derive(Clone, Copy)]
enum Opened {
    Condition,
    Parenthesis(Span),
    Not(Span),
}

/// A finished chain whose form is worth a lint.
struct ChainNote {
    root: NodeId,
    span: Span,
    mixed: bool,
    /// Where the parentheses that show how it is read are opened, and where each is closed.
    start: usize,
    turns: Vec<usize>,
}

impl<'a> Parser<'a> {
    fn new(source: &'a str, limits: &Limits) -> Result<Self, Error> {
        let mut lexer = Lexer::new(source);
        let token = lexer.next()?;
        let open = vec![Chain::new(Opened::Condition)];
        let (nodes, chains) = (Vec::new(), Vec::new());
        Ok(Self { source, lexer, token, nodes, open, depth: limits.depth, chains })
    }

    fn condition(mut self) -> Result<(Ast, Vec<Lint>), Error> {
        if self.token.kind == TokenKind::End {
            let help = "every condition has a test, such as `type = \"Warning\"`";
            return Err(Error::new(ErrorKind::Empty, Span::new(0, self.source.len())).help(help));
        }
        loop {
            self.unit()?;
            if let Some(root) = self.joints()? {
                let ast = Ast::new(self.nodes, root);
                let lints = self.chains.iter().map(|chain| chain.lint(&ast, self.source)).collect();
                return Ok((ast, lints));
            }
        }
    }

    /// Reads to the end of the next test, and opens what stands before it.
    fn unit(&mut self) -> Result<(), Error> {
        loop {
            let span = self.token.span;
            match self.token.kind {
                TokenKind::Open => self.begin(Opened::Parenthesis(span))?,
                TokenKind::Not => self.begin(Opened::Not(span))?,
                TokenKind::Name if self.is_negation() => self.begin(Opened::Not(span))?,
                TokenKind::Name => {
                    let test = self.test()?;
                    self.operand(test);
                    return Ok(());
                }
                _ => return Err(self.unexpected(Expected::Test)),
            }
        }
    }

    fn begin(&mut self, opened: Opened) -> Result<(), Error> {
        if self.open.len() > self.depth {
            return Err(Error::new(ErrorKind::TooDeep { limit: self.depth }, self.token.span));
        }
        self.open.push(Chain::new(opened));
        self.advance()?;
        Ok(())
    }

    /// Reads closing parentheses and one `and` or `or`; at the end of the text, gives the root.
    fn joints(&mut self) -> Result<Option<NodeId>, Error> {
        loop {
            match self.token.kind {
                TokenKind::And => return self.join(Joint::And).map(|()| None),
                TokenKind::Or => return self.join(Joint::Or).map(|()| None),
                TokenKind::Name if self.text_here() == "AND" => {
                    return self.join(Joint::And).map(|()| None);
                }
                TokenKind::Name if self.text_here() == "OR" => {
                    return self.join(Joint::Or).map(|()| None);
                }
                TokenKind::Close => self.close()?,
                TokenKind::End => return self.finish().map(Some),
                _ => {
                    let parenthesis = |c: &Chain| matches!(c.opened, Opened::Parenthesis(_));
                    let inside = self.open.iter().any(parenthesis);
                    let expected = if inside { Expected::JointOrClose } else { Expected::Joint };
                    return Err(self.unexpected(expected));
                }
            }
        }
    }

    fn join(&mut self, joint: Joint) -> Result<(), Error> {
        let left = self.chain().left.expect("a joint follows a test");
        let end = self.nodes[left.index()].span.end;
        let chain = self.chain();
        if chain.last.is_some_and(|last| last != joint) {
            chain.turns.push(end);
        }
        chain.joint = Some(joint);
        chain.last = Some(joint);
        chain.joints[joint as usize] = true;
        self.advance()?;
        Ok(())
    }

    fn close(&mut self) -> Result<(), Error> {
        self.end_negations();
        let chain = self.open.last().expect("the outermost chain stays");
        let Opened::Parenthesis(opened) = chain.opened else {
            let error = Error::new(ErrorKind::UnopenedParenthesis, self.token.span);
            return Err(error.help("remove it, or open it further to the left"));
        };
        let span = opened.to(self.token.span);
        let inner = self.end_chain();
        // The parentheses become part of what they hold, for spans that read well.
        self.nodes[inner.index()].span = span;
        self.operand(inner);
        self.advance()?;
        Ok(())
    }

    fn finish(&mut self) -> Result<NodeId, Error> {
        self.end_negations();
        match self.open.last().expect("the outermost chain stays").opened {
            Opened::Parenthesis(span) => Err(Error::new(ErrorKind::UnclosedParenthesis, span)
                .help("close it with `)` where the group ends")),
            _ => Ok(self.end_chain()),
        }
    }

    /// Ends every `not` that reaches to here.
    fn end_negations(&mut self) {
        while let Opened::Not(span) = self.open.last().expect("the outermost chain stays").opened {
            let inner = self.end_chain();
            let span = span.to(self.nodes[inner.index()].span);
            let not = self.push(NodeKind::Not(inner), span);
            self.operand(not);
        }
    }

    fn end_chain(&mut self) -> NodeId {
        let chain = self.open.pop().expect("the outermost chain stays");
        let root = chain.left.expect("a chain begins with a test");
        let [and, or] = chain.joints;
        let greedy = matches!(chain.opened, Opened::Not(_)) && (and || or);
        if and && or || greedy {
            let chain_span = self.nodes[root.index()].span;
            let (mut span, mut turns) = (chain_span, chain.turns);
            if let Opened::Not(not) = chain.opened {
                span = not.to(span);
                turns.push(span.end);
            }
            self.chains.push(ChainNote {
                root,
                span,
                mixed: !greedy,
                start: chain_span.start,
                turns,
            });
        }
        root
    }

    /// Adds an operand to the innermost chain.
    fn operand(&mut self, right: NodeId) {
        let chain = self.chain();
        let joined = match (chain.left, chain.joint.take()) {
            (Some(left), Some(joint)) => {
                let span = self.nodes[left.index()].span.to(self.nodes[right.index()].span);
                self.push(NodeKind::Join(joint, left, right), span)
            }
            _ => right,
        };
        self.chain().left = Some(joined);
    }

    /// Whether the name that stands here is `NOT` before something that `not` may stand before.
    fn is_negation(&self) -> bool {
        let next = || self.lexer.clone().next().map(|token| token.kind);
        self.text_here() == "NOT"
            && matches!(next(), Ok(TokenKind::Name | TokenKind::Not | TokenKind::Open))
    }

    fn text_here(&self) -> &'a str {
        self.token.span.of(self.source)
    }

    fn test(&mut self) -> Result<NodeId, Error> {
        let name = self.name()?;
        let mut negated = false;
        let check = match self.token.kind {
            TokenKind::Compare(comparison) => {
                self.advance()?;
                Check::Compare(comparison, self.operand_of(comparison)?)
            }
            TokenKind::Word(word, not) => {
                negated = not;
                self.advance()?;
                self.operand_of_word(word)?
            }
            TokenKind::Not if self.text_here() == "not" && self.next_folding().is_some() => {
                negated = true;
                self.advance()?;
                self.operand_of_folding()?
            }
            TokenKind::Name if Folding::resolve(self.text_here()).is_some() => {
                self.operand_of_folding()?
            }
            _ => Check::Holds,
        };
        let end = self.test_span(name.span);
        Ok(self.push(NodeKind::Test(Box::new(Test { name, negated, check })), end))
    }

    /// A name, `age(…)` included. Its value is its canonical form.
    fn name(&mut self) -> Result<Spanned<String>, Error> {
        let name = self.advance()?;
        let text = name.span.of(self.source);
        if text == "age" && self.token.kind == TokenKind::Open {
            return self.age(name.span);
        }
        // A key that can stand in double quotes does.
        let double = text.strip_suffix("']").filter(|text| !text.contains(['"', '$']));
        let double = double.and_then(|text| text.split_once("['"));
        let value = double.map_or_else(|| text.into(), |(map, key)| format!("{map}[\"{key}\"]"));
        Ok(Spanned { value, span: name.span })
    }

    /// The parentheses after `age` and the time in them.
    fn age(&mut self, age: Span) -> Result<Spanned<String>, Error> {
        self.advance()?;
        if self.token.kind != TokenKind::Name {
            return Err(self.unexpected(Expected::Time));
        }
        let time = self.advance()?.span.of(self.source);
        if self.token.kind != TokenKind::Close {
            return Err(self.unexpected(Expected::AgeEnd));
        }
        let end = self.advance()?.span;
        Ok(Spanned { value: format!("age({time})"), span: age.to(end) })
    }

    fn operand_of(&mut self, comparison: Comparison) -> Result<Literal, Error> {
        let boolean = matches!(comparison, Comparison::Equal | Comparison::NotEqual);
        match self.token.kind {
            TokenKind::Boolean(value) if boolean => {
                let span = self.advance()?.span;
                Ok(Literal::Boolean(Spanned { value, span }))
            }
            TokenKind::Duration => {
                let span = self.advance()?.span;
                Ok(Literal::Duration(spanned(span, span.of(self.source))))
            }
            _ if boolean => self.literal(Expected::LiteralOrBoolean),
            _ => self.literal(Expected::Literal),
        }
    }

    fn operand_of_word(&mut self, word: Word) -> Result<Check, Error> {
        Ok(match word {
            Word::Exists => Check::Exists,
            Word::Contains => Check::Contains(Case::Exact, self.literal(Expected::Literal)?),
            Word::Like => Check::Like(Case::Exact, self.text()?),
            Word::Regex => Check::Regex(self.text()?),
            Word::In if self.token.kind == TokenKind::List => {
                let span = self.advance()?.span;
                Check::InList(spanned(span, &span.of(self.source)[1..]))
            }
            Word::In => Check::In(self.list()?),
        })
    }

    /// The operator after the `not` that stands here, if it is one that ignores case.
    fn next_folding(&self) -> Option<Folding> {
        let next = self.lexer.clone().next().ok()?;
        Folding::resolve(next.span.of(self.source))
    }

    /// Reads an operator that ignores case and its operand.
    fn operand_of_folding(&mut self) -> Result<Check, Error> {
        let word = Folding::resolve(self.text_here()).expect("the caller looked");
        self.advance()?;
        Ok(match word {
            Folding::Contains => Check::Contains(Case::Ignored, self.literal(Expected::Literal)?),
            Folding::Equals => Check::EqualFold(self.literal(Expected::Literal)?),
            Folding::Like => Check::Like(Case::Ignored, self.text()?),
        })
    }

    fn list(&mut self) -> Result<Vec<Literal>, Error> {
        if self.token.kind != TokenKind::Open {
            return Err(self.unexpected(Expected::ListStart));
        }
        self.advance()?;
        let mut values = vec![self.literal(Expected::Literal)?];
        while self.token.kind == TokenKind::Comma {
            self.advance()?;
            values.push(self.literal(Expected::Literal)?);
        }
        if self.token.kind != TokenKind::Close {
            return Err(self.unexpected(Expected::ListNext));
        }
        self.advance()?;
        Ok(values)
    }

    fn literal(&mut self, expected: Expected) -> Result<Literal, Error> {
        match self.token.kind {
            TokenKind::Text => self.text().map(Literal::Text),
            TokenKind::Number => {
                let span = self.advance()?.span;
                Ok(Literal::Number(spanned(span, span.of(self.source))))
            }
            _ => Err(self.unexpected(expected)),
        }
    }

    /// Reads a string. Its value is what stands between the quotes, with nothing unescaped where
    /// they are double.
    fn text(&mut self) -> Result<Spanned<String>, Error> {
        if self.token.kind != TokenKind::Text {
            return Err(self.unexpected(Expected::Text));
        }
        let span = self.advance()?.span;
        let raw = span.of(self.source);
        if raw.starts_with('\'') {
            let inside = Span::new(span.start + 1, span.end - 1);
            let chars = quoted::chars(inside.of(self.source), inside.start)?;
            let value = chars.into_iter().map(|(c, _)| c).collect();
            return Ok(Spanned { value, span: inside });
        }
        let value = raw.trim_matches('"');
        let start = span.start + raw.len() - raw.trim_start_matches('"').len();
        let start = start.min(span.end - 1);
        Ok(spanned(Span::new(start, start + value.len()), value))
    }

    /// Goes to the next token and gives the one before it.
    fn advance(&mut self) -> Result<Token, Error> {
        let token = self.token;
        self.token =
            self.lexer.next().map_err(|error| mistake::after(error, self.source, token))?;
        Ok(token)
    }

    fn chain(&mut self) -> &mut Chain {
        self.open.last_mut().expect("the outermost chain stays")
    }

    fn push(&mut self, kind: NodeKind, span: Span) -> NodeId {
        let id = NodeId::next(&self.nodes);
        self.nodes.push(Node { kind, span });
        id
    }

    /// The span of a test that begins with `name` and ends before the current token.
    fn test_span(&self, name: Span) -> Span {
        let before = &self.source[..self.token.span.start];
        Span::new(name.start, before.trim_end_matches([' ', '\t', '\r', '\n']).len())
    }

    fn unexpected(&mut self, expected: Expected) -> Error {
        mistake::at_token(self.source, self.token, expected, self.lexer.next().ok())
    }
}

/// An operator that ignores case.
#[derive(Clone, Copy)]
enum Folding {
    Contains,
    Equals,
    Like,
}

impl Folding {
    fn resolve(text: &str) -> Option<Self> {
        Some(match text {
            "icontains" => Self::Contains,
            "iequals" => Self::Equals,
            "ilike" => Self::Like,
            _ => return None,
        })
    }
}

fn spanned(span: Span, value: &str) -> Spanned<String> {
    Spanned { value: value.to_owned(), span }
}

/// The longest chain, in bytes, that a lint repeats with its parentheses.
const SHOWN: usize = 400;

// === impl Chain ===

impl Chain {
    fn new(opened: Opened) -> Self {
        let (joints, turns) = ([false; 2], Vec::new());
        Self { opened, left: None, joint: None, last: None, joints, turns }
    }
}

// === impl ChainNote ===

impl ChainNote {
    fn lint(&self, ast: &Ast, source: &str) -> Lint {
        let kind = if self.mixed { LintKind::MixedJoints } else { LintKind::NotTakesTheRest };
        let lint = Lint::new(kind, self.span);
        if self.span.end - self.span.start > SHOWN {
            return lint.help("write the parentheses that you mean");
        }
        let mut text = String::new();
        ast.write(&mut text, self.root).expect("strings take any text");
        let text = if self.mixed { text } else { format!("not ({text})") };
        lint.help(format!("it is read as `{text}`; write the parentheses that you mean"))
            .replacement(self.with_parentheses(source))
    }

    /// The chain as it is written, with the parentheses by which it is read.
    fn with_parentheses(&self, source: &str) -> String {
        let mut text = source[self.span.start..self.start].to_owned();
        text.push_str(&"(".repeat(self.turns.len()));
        let mut at = self.start;
        for turn in &self.turns {
            text.push_str(&source[at..*turn]);
            text.push(')');
            at = *turn;
        }
        text + &source[at..self.span.end]
    }
}
